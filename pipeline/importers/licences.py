"""Terms of the public sets that can be imported.

They are what the publishers' pages say, as known when this was written; where two sources contradict each other the
stricter one stands. Read them yourself before you pass anything on.
"""

from typing import Final

from pipeline.importers.records import Licence

OWN: Final = Licence(
    name="not stated",
    attribution="the site's own data",
    note="Say with `--licence` under which terms these studies may be used.",
)
COVID_CT_SEG: Final = Licence(
    name="CC BY-NC-SA 4.0",
    attribution="COVID-19-CT-Seg, Ma et al. 2020 (Zenodo 3757476)",
    note="Zenodo says CC BY 4.0, the authors' repository CC BY-NC-SA; the stricter one stands.",
)
MOSMED: Final = Licence(
    name="CC BY-NC-ND 3.0",
    attribution="MosMedData COVID19_1110, Morozov et al. 2020",
    note="No derivatives: have it checked before weights trained on it leave the house.",
)
COVID_19_20: Final = Licence(
    name="CC BY 4.0",
    attribution="COVID-19-20 lesion segmentation challenge, from TCIA CT Images in COVID-19",
    note="The licence of the images was not confirmed; check the pages of the challenge and of TCIA.",
)
RICORD: Final = Licence(name="CC BY-NC 4.0", attribution="MIDRC-RICORD-1A, TCIA, Tsai et al. 2021")
COVID_CT_MD: Final = Licence(
    name="CC BY 4.0",
    attribution="COVID-CT-MD, Afshar et al., Scientific Data 2021",
    note="The licence was not confirmed; check the page the data came from.",
)
LIDC: Final = Licence(name="CC BY 3.0", attribution="LIDC-IDRI, TCIA, Armato et al. 2011")
