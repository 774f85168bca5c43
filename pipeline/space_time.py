"""Space-Time-Net: lesions in a CT study, with its earlier studies in view.

After Liu et al., "Intelligent Detection for CT Image of COVID-19 using Deep Learning". A 2D encoder sees each slice;
two spatial semantic layers carry what it saw along the slices, both ways; each is upsampled into its own of two time
semantic layers that carry it along the studies; two similar convolutions lead to the heads.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.boxes import BoxMaps
from pipeline.conv_gru import SpatialLayer, TimeLayer
from pipeline.detection_head import BoxHead, MaskHead, NormedConv, SliceHead

SIZE_MULTIPLE = 32
"""Height and width of the input are multiples of this."""

MASK_STRIDE = 2
"""Pixels of the input per pixel of the mask logits."""


FINE_FEATURES_BYTES, FINE_FEATURES_CUDA_BYTES = 256 * 1024**2, 1024**3
"""On a CPU and on a GPU: features at strides 4 and 8 that are kept until the spatial layers have seen all slices; of what is
beyond, a chunk is encoded again when its turn comes, which gives the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceTimeConfig:
    """Shape of the network; the defaults are size S."""

    input_channels: int = 4
    """Slice below, slice, slice above, lung mask."""
    widths: tuple[int, int, int, int] = (24, 48, 96, 160)
    """Channels of the encoder at strides 4, 8, 16, 32."""
    hidden: int = 64
    """Channels of a recurrent state, per direction."""
    mask_width: int = 32
    bidirectional_time: bool = False
    """False is Space-Time1: a later study never changes an earlier result. True is Space-Time2, for reading back."""
    difference_input: bool = False
    """The time layers also see how a study's features differ from those of the study before (Temporal Difference
    Weighting, Rokuss et al. 2024)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StudyOutput:
    """What the network says of one study of the sequence, on the grid of the newest."""

    mask_logits: Tensor
    """(Z, 3, H/2, W/2): background, ground-glass, consolidation."""
    box_maps: tuple[BoxMaps, ...]
    """At strides 8, 16, 32; see `decode_boxes`."""
    slice_logits: Tensor
    """(Z,): the slice shows a lesion."""


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a 1 x 1 shortcut."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        """`stride` is taken by the first convolution."""
        super().__init__()
        self.first = NormedConv(inputs, outputs, stride=stride)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.GroupNorm(outputs // 8, outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride=stride)

    def forward(self, features: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        return functional.silu(self.norm(self.second(self.first(features))) + self.shortcut(features))


class Encoder(nn.Module):
    """Features of single slices at strides 4, 8, 16, 32."""

    def __init__(self, config: SpaceTimeConfig) -> None:
        """The stem halves the slice before the first stage."""
        super().__init__()
        first = config.widths[0]
        self.stem = NormedConv(config.input_channels, first, stride=2)
        inputs = (first, *config.widths[:-1])
        self.stages = nn.ModuleList(
            nn.Sequential(ResidualBlock(before, width, stride=2), ResidualBlock(width, width))
            for before, width in zip(inputs, config.widths, strict=True)
        )

    def forward(self, slices: Tensor) -> list[Tensor]:
        """(N, C, H, W) to four maps, finest first."""
        features = self.stem(slices)
        levels: list[Tensor] = []
        for stage in self.stages:
            features = stage(features)
            levels.append(features)
        return levels


class SpaceTimeNet(nn.Module):
    """Lesion masks, boxes and slice logits for every study of a sequence of 1..T."""

    def __init__(self, config: SpaceTimeConfig | None = None) -> None:
        """Random weights; `load_model_pack` gives trained ones."""
        super().__init__()
        self.config = config = config or SpaceTimeConfig()
        fine, third, fourth, fifth = config.widths
        hidden = config.hidden
        self.encoder = Encoder(config)
        self.space_1 = SpatialLayer(fourth, hidden)
        self.space_1_lowered = NormedConv(fourth, fourth, stride=2)
        self.space_2_input = nn.Conv2d(fourth + fifth, fifth, 1)
        self.space_2 = SpatialLayer(fifth, hidden)
        self.time_1_input = nn.Conv2d(fourth + fifth, hidden, 1)
        self.time_1 = TimeLayer(
            hidden, hidden, bidirectional=config.bidirectional_time, sees_difference=config.difference_input
        )
        self.space_1_reduced = nn.Conv2d(fourth, hidden, 1)
        self.time_2_input = nn.Conv2d(third + 2 * hidden, hidden, 1)
        self.time_2 = TimeLayer(
            hidden, hidden, bidirectional=config.bidirectional_time, sees_difference=config.difference_input
        )
        self.similar = nn.Sequential(NormedConv(hidden, hidden), NormedConv(hidden, hidden))
        self.coarse = NormedConv(hidden, hidden)
        self.coarsest = NormedConv(hidden, hidden, stride=2)
        self.box_head = BoxHead(hidden)
        self.mask_head = MaskHead(hidden, fine, config.mask_width)
        self.slice_head = SliceHead(hidden)

    @property
    def device(self) -> torch.device:
        """Where its weights lie."""
        return self.slice_head.logits.weight.device

    def forward(self, sequence: Tensor, valid: Tensor, gap_days: Tensor) -> tuple[StudyOutput, ...]:
        """What is seen in each of T studies of one patient, oldest first.

        Args:
            sequence: (T, Z, C, H, W) from `pipeline.model_input.stacked_channels`, all on the grid of the newest; H and W
                are multiples of 32.
            valid: (T, Z, 1, H, W), 1 where the study really shows this place; what it holds elsewhere is ignored.
            gap_days: (T,), days since the study before it in the sequence; the first is ignored.

        Returns:
            One output per study, in the same order: the last one is the newest.
        """
        return self.stream(sequence, valid, gap_days, chunk_slices=sequence.shape[1])

    def stream(
        self, sequence: Tensor, valid: Tensor, gap_days: Tensor, *, chunk_slices: int = 16
    ) -> tuple[StudyOutput, ...]:
        """The same as `forward`, with full-size features of only `chunk_slices` slices of the studies at a time.

        The input may lie in other memory than the network; the output lies with the network.
        """
        return self._run(sequence.unsqueeze(1), valid.unsqueeze(1), gap_days.unsqueeze(1), chunk_slices)

    def forward_batch(self, sequence: Tensor, valid: Tensor, gap_days: Tensor) -> tuple[StudyOutput, ...]:
        """`forward` for training: B patients with T studies each, slices of all patients in one row.

        Args:
            sequence: (T, B, Z, C, H, W).
            valid: (T, B, Z, 1, H, W).
            gap_days: (T, B).

        Returns:
            One output per study whose first axis is B * Z.
        """
        return self._run(sequence, valid, gap_days, sequence.shape[2])

    def _run(self, sequence: Tensor, valid: Tensor, gap_days: Tensor, chunk_slices: int) -> tuple[StudyOutput, ...]:
        starts = range(0, sequence.shape[2], chunk_slices)
        device = self.device
        gap_days = gap_days.to(device)
        fine, fourth, fifth = self._encoded_once(sequence, valid, chunk_slices)
        space_1, space_2 = self._space(fourth, fifth)
        del fourth, fifth
        chunks: list[tuple[StudyOutput, ...]] = []
        for number, start in enumerate(starts):
            window = slice(start, start + chunk_slices)
            known = valid[:, :, window].to(device)
            levels = fine.pop(number, None) or self._encoded(sequence, valid, start, start + chunk_slices)[:2]
            chunks.append(self._time(levels, (space_1[:, :, window], space_2[:, :, window]), known, gap_days))
        return tuple(_joined(study) for study in zip(*chunks, strict=True))

    def _encoded_once(
        self, sequence: Tensor, valid: Tensor, chunk_slices: int
    ) -> tuple[dict[int, list[Tensor]], Tensor, Tensor]:
        """Fine levels of as many chunks as may be kept, by number; strides 16 and 32 of all slices."""
        fine: dict[int, list[Tensor]] = {}
        coarse: list[list[Tensor]] = []
        kept_bytes, most_bytes = 0, FINE_FEATURES_CUDA_BYTES if self.device.type == "cuda" else FINE_FEATURES_BYTES
        for number, start in enumerate(range(0, sequence.shape[2], chunk_slices)):
            levels = self._encoded(sequence, valid, start, start + chunk_slices)
            kept_bytes += _size_bytes(levels[:2])
            if kept_bytes <= most_bytes:
                fine[number] = levels[:2]
            coarse.append(levels[2:])
        return (
            fine,
            torch.cat([levels[0] for levels in coarse], dim=2),
            torch.cat([levels[1] for levels in coarse], dim=2),
        )

    def _encoded(self, sequence: Tensor, valid: Tensor, start: int, stop: int) -> list[Tensor]:
        """Four levels (T, B, z, C, h, w) of the slices from `start` to `stop`."""
        known = _known_channels(valid, start, stop, sequence.shape[3]).to(self.device)
        slices = sequence[:, :, start:stop].to(self.device) * known
        return [torch.unflatten(level, 0, slices.shape[:3]) for level in self.encoder(slices.flatten(0, 2))]

    def _space(self, fourth: Tensor, fifth: Tensor) -> tuple[Tensor, Tensor]:
        """Both spatial semantic layers over whole studies: (T, B, Z, C, h, w) at strides 16 and 32."""
        shape = fourth.shape[:3]
        first = self.space_1(fourth.flatten(0, 1))
        lowered = self.space_1_lowered(first.flatten(0, 1))
        mixed = self.space_2_input(torch.cat([lowered, fifth.flatten(0, 2)], dim=1))
        second = self.space_2(torch.unflatten(mixed, 0, first.shape[:2]))
        return torch.unflatten(first, 0, shape[:2]), torch.unflatten(second, 0, shape[:2])

    def _time(
        self, levels: list[Tensor], space: tuple[Tensor, Tensor], valid: Tensor, gap_days: Tensor
    ) -> tuple[StudyOutput, ...]:
        """Time semantic layers and heads for some slices: every tensor (T, B, z, C, h, w)."""
        studies, patients, slices = valid.shape[:3]
        first, second = space[0].flatten(0, 2), space[1].flatten(0, 2)
        third, fine = levels[1].flatten(0, 2), levels[0].flatten(0, 2)
        gaps = gap_days.repeat_interleave(slices, dim=1)
        known = valid.flatten(0, 2).float()
        rows = (studies, patients * slices)
        mixed = self.time_1_input(torch.cat([first, _raised(second, first)], dim=1))
        time_1 = self.time_1(_per_study(mixed, rows), _per_study(_pooled(known, 16), rows), gaps).flatten(0, 1)
        raised = _raised(torch.cat([time_1, self.space_1_reduced(first)], dim=1), third)
        mixed = self.time_2_input(torch.cat([third, raised], dim=1))
        time_2 = self.time_2(_per_study(mixed, rows), _per_study(_pooled(known, 8), rows), gaps).flatten(0, 1)
        return self._heads(time_1, time_2, fine, rows)

    def _heads(self, time_1: Tensor, time_2: Tensor, fine: Tensor, rows: tuple[int, int]) -> tuple[StudyOutput, ...]:
        """One output per study, its slices still with all patients in one row."""
        features = self.similar(time_2)
        coarse = self.coarse(time_1)
        boxes = self.box_head((features, coarse, self.coarsest(coarse)))
        masks = _per_study(self.mask_head(features, fine), rows)
        slice_logits = _per_study(self.slice_head(coarse), rows)
        return tuple(
            StudyOutput(
                mask_logits=masks[study],
                box_maps=tuple(_study_maps(maps, rows, study) for maps in boxes),
                slice_logits=slice_logits[study],
            )
            for study in range(rows[0])
        )


def _size_bytes(tensors: list[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _per_study(features: Tensor, rows: tuple[int, int]) -> Tensor:
    """(T * N, ...) to (T, N, ...)."""
    return torch.unflatten(features, 0, rows)


def _raised(features: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(features, size=like.shape[-2:], mode="bilinear")


def _pooled(valid: Tensor, stride: int) -> Tensor:
    """Share of each cell that is valid."""
    return functional.avg_pool2d(valid, stride)


def _known_channels(valid: Tensor, start: int, stop: int, channels: int) -> Tensor:
    """1 where a channel shows a valid voxel: the first and third channel show the slices below and above."""
    slices = valid.shape[2]
    here = torch.arange(start, min(stop, slices))
    neighbours = [(here + offset).clamp(0, slices - 1) for offset in (-1, 0, 1)]
    known = torch.cat([valid[:, :, index] for index in neighbours], dim=3)
    own = valid[:, :, start:stop].expand(-1, -1, -1, channels - 3, -1, -1)
    return torch.cat([known, own], dim=3)


def _study_maps(maps: BoxMaps, rows: tuple[int, int], study: int) -> BoxMaps:
    return BoxMaps(
        class_logits=_per_study(maps.class_logits, rows)[study],
        distances=_per_study(maps.distances, rows)[study],
        quality_logits=_per_study(maps.quality_logits, rows)[study],
    )


def _joined(chunks: tuple[StudyOutput, ...]) -> StudyOutput:
    """The chunks of one study, one after the other."""
    levels = zip(*(chunk.box_maps for chunk in chunks), strict=True)
    return StudyOutput(
        mask_logits=torch.cat([chunk.mask_logits for chunk in chunks]),
        box_maps=tuple(
            BoxMaps(
                class_logits=torch.cat([maps.class_logits for maps in level]),
                distances=torch.cat([maps.distances for maps in level]),
                quality_logits=torch.cat([maps.quality_logits for maps in level]),
            )
            for level in levels
        ),
        slice_logits=torch.cat([chunk.slice_logits for chunk in chunks]),
    )
