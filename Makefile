PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= demo-out

.PHONY: install demo test check pytest format clean

install: $(VENV)/.installed

# torch first: a plain range would pull the CUDA build where the CPU build of this version is at hand.
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --editable '.[dev,fuzz,train,baselines,onnx,postgres]'
	touch $@

demo: install
	$(BIN)/dicom-node demo --out $(OUT)

# A file stays with one process: its tests share what they were set up with. In the order of their folders the slow files
# come first, so that the processes end at about the same time. Five for two cores, because half of the time is waiting;
# one thread in each, because threads that wait for a core spin. Bytecode is kept, whatever the environment says: the tests
# start processes of the node, each of which would compile our packages anew. The gate is checked beside them,
# on what a core has left.
test: install
	$(MAKE) --no-print-directory --jobs 2 check pytest

pytest: install
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/pytest --numprocesses 5 --dist loadfile --no-loadscope-reorder

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist *.egg-info $(OUT)
