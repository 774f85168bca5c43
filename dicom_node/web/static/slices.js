"use strict";
// Scrolls through the slices of a study: wheel, arrow keys, slider. Contours are drawn over them.
(() => {
  const viewer = document.getElementById("viewer");
  if (!viewer) return;
  const [stage, picture, outlines, place, where, drawn, windowed] =
    ["stage", "slice", "outlines", "place", "where", "drawn", "window"].map((id) => document.getElementById(id));
  const count = Number(viewer.dataset.count);
  const kinds = {};
  document.querySelectorAll("[data-lesion]").forEach((one) => { kinds[one.dataset.lesion] = one.dataset.kind; });
  let current = Number(viewer.dataset.start);
  let again = 0;
  let triesLeft = 0;
  let contours = { width: 1, height: 1, slices: {} };
  const address = (k) => `${viewer.dataset.base}/slices/${k}.jpg?window=${windowed.value}`;

  // The side of the patient at each edge, and pixels as wide as they are.
  function lay() {
    if (!contours.edges) return;
    stage.style.aspectRatio = `${contours.width_mm} / ${contours.height_mm}`;
    for (const [edge, letter] of Object.entries(contours.edges)) stage.querySelector(`[data-edge=${edge}]`).textContent = letter;
    const sides = Object.entries(contours.edges).map(([edge, letter]) => `${edge} ${letter}`).join(", ");
    picture.alt = `Slice with the lesions outlined; sides of the patient: ${sides}`;
  }

  function draw() {
    outlines.replaceChildren();
    outlines.setAttribute("viewBox", `0 0 ${contours.width} ${contours.height}`);
    if (!drawn.checked) return;
    for (const [number, line] of contours.slices[current] || []) {
      const shape = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
      shape.setAttribute("points", line.map((point) => point.join(",")).join(" "));
      shape.setAttribute("class", kinds[number] || "");
      outlines.append(shape);
    }
  }

  // The page itself asks for the first slice: asked for again is only what is another one, or came to nothing.
  function ask() {
    const isBroken = picture.complete && !picture.naturalWidth;
    if (isBroken || picture.getAttribute("src") !== address(current)) picture.src = address(current);
  }

  function show(k) {
    current = Math.min(Math.max(k, 0), count - 1);
    clearTimeout(again);
    triesLeft = 20;
    ask();
    place.value = String(current + 1);
    where.value = `${current + 1} of ${count}`;
    draw();
    for (const near of [current + 1, current - 1]) if (near >= 0 && near < count) new Image().src = address(near);
  }

  // Slices and contours are of one result: of another one none is shown here.
  function end() {
    document.getElementById("outdated").hidden = false;
    viewer.remove();
  }

  // The node refuses slices while many are being drawn: the one that is looked at is asked for again.
  picture.addEventListener("error", () => {
    const failed = current;
    fetch(address(failed)).then((answer) => answer.status === 409, () => false).then((isOutdated) => {
      if (isOutdated) return end();
      if (failed === current && triesLeft-- > 0) again = setTimeout(() => { picture.src = address(current); }, 1000);
    });
  });
  stage.addEventListener("wheel", (event) => { event.preventDefault(); show(current + Math.sign(event.deltaY)); }, { passive: false });
  stage.addEventListener("keydown", (event) => {
    const steps = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, PageDown: 10, PageUp: -10, Home: -count, End: count };
    if (!(event.key in steps)) return;
    event.preventDefault();
    show(current + steps[event.key]);
  });
  place.addEventListener("input", () => show(Number(place.value) - 1));
  drawn.addEventListener("change", draw);
  windowed.addEventListener("change", () => show(current));
  document.querySelectorAll(".goto").forEach((one) => one.addEventListener("click", () => { show(Number(one.dataset.slice)); stage.focus(); }));
  show(current);
  function outline(tries) {
    fetch(`${viewer.dataset.base}/contours.json`).then((answer) => {
      if (answer.status === 409) end();
      if (answer.status === 503 && tries > 0) setTimeout(() => outline(tries - 1), 1000);
      return answer.ok ? answer.json() : null;
    }).then((found) => {
      if (found) { contours = found; lay(); draw(); }
    });
  }
  outline(20);
})();
