"""What the destinations want, as a plan of the result objects to make."""

from collections.abc import Sequence

from config.settings import Peer, Settings
from dicom_node.results.plan import ResultPlan, SrClass, SrLayout


def result_plan(settings: Settings, receivers: Sequence[Peer] | None = None) -> ResultPlan:
    """Everything that some destination may be sent; without destinations, what the defaults of one would be.

    Args:
        settings: Of the node.
        receivers: Who is sent it; None is every peer that receives results.
    """
    destinations = (settings.destinations if receivers is None else receivers) or (_ANYBODY,)
    wanted = {kind for peer in destinations for kind in peer.results}
    classes = [SrClass(name) for peer in destinations for name in peer.sr_classes]
    return ResultPlan(
        sr_classes=tuple(dict.fromkeys(classes)),
        sr_layout=SrLayout(settings.results.sr_layout),
        pdf="pdf" in wanted,
        capture="capture" in wanted or any("seg" in peer.results and peer.capture_without_seg for peer in destinations),
        presentation_state="presentation_state" in wanted,
        key_objects="key_objects" in wanted,
    )


_ANYBODY = Peer(name="anybody", ae_title="ANYBODY", host="localhost", port=104, receives_results=True)
