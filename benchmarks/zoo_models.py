"""The models of the zoo: torchvision's CNNs, eighty of timm of different make, and the examples."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["TIMM", "Entry", "entries", "missing_libraries"]

ROOT = Path(__file__).resolve().parent.parent
TRANSFORMERS = ("vit_", "swin_", "maxvit_")
LARGER_IMAGES = {"inception_v3": "3x299x299"}
SLOW_TO_INITIALISE = ("googlenet", "inception_v3")
"""torchvision draws their weights with scipy, which takes a minute and matters to no count."""

TIMM = """
resnet18 resnet26d resnetblur50 resnetaa50 resnext50_32x4d wide_resnet50_2 seresnet18 legacy_seresnet18 ecaresnet26t
skresnet18 resnest14d res2net50_26w_4s resnetv2_50 gcresnet33ts tresnet_m densenet121 rdnet_tiny dla34 dpn48b
hrnet_w18_small vovnet39a ese_vovnet19b_dw selecsls42 cspresnet50 cspdarknet53 cs3darknet_s darknet17 gernet_s repvgg_a0
mobileone_s0 mobilenetv2_050 mobilenetv3_small_100 mobilenetv4_conv_small mnasnet_050 semnasnet_075 spnasnet_100
fbnetc_100 fbnetv3_b lcnet_050 tinynet_e hardcorenas_a mixnet_s efficientnet_b0 efficientnetv2_rw_t
tf_efficientnetv2_b0 tf_efficientnet_lite0 efficientnet_cc_b0_4e ghostnet_050 ghostnetv2_100 repghostnet_050 rexnet_100
regnetx_002 regnety_002 regnetz_b16 regnetv_040 nfnet_l0 nf_resnet26 eca_nfnet_l0 convnext_atto convnextv2_atto
convmixer_768_32 edgenext_xx_small inception_next_tiny xception41 xception65p inception_v3 inception_v4
inception_resnet_v2 pnasnet5large vgg11_bn poolformer_s12 convformer_s18 hgnet_tiny hgnetv2_b0 mambaout_femto starnet_s1
fasternet_t0 focalnet_tiny_srf repvit_m0_9 test_resnet
""".split()

EXAMPLES = {"resnet8": "3x32x32", "ds_cnn": "1x49x10", "mobilenet_v1": "3x96x96", "deep_autoencoder": "640"}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A model of the zoo.

    Attributes:
        name: the model's name for ``parlay trace``, relative to the checkout.
        shape: shape of one image, ``None`` for the one that timm's model is made for.
        kwargs: keyword arguments of its factory.
    """

    name: str
    shape: str | None
    kwargs: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def library(self) -> str:
        """The part of the name before the slash: torchvision, timm, examples."""
        return self.name.partition("/")[0]

    @property
    def spec(self) -> str:
        """The name wherever the command is called from."""
        return f"{ROOT}/{self.name}" if self.library == "examples" else self.name


def entries() -> list[Entry]:
    """Every model of the zoo whose library is installed."""
    found = [Entry(name=f"examples/mlperf_tiny.py:{name}", shape=shape) for name, shape in EXAMPLES.items()]
    missing = missing_libraries()
    if "torchvision" not in missing:
        found += [
            Entry(
                name=f"torchvision/{name}",
                shape=LARGER_IMAGES.get(name, "3x224x224"),
                kwargs={"init_weights": False} if name in SLOW_TO_INITIALISE else {},
            )
            for name in _torchvision_names()
        ]
    if "timm" not in missing:
        found += [Entry(name=f"timm/{name}", shape=None) for name in TIMM]
    return found


def missing_libraries() -> list[str]:
    """What is not installed of torchvision and timm."""
    from importlib.util import find_spec

    return [name for name in ("torchvision", "timm") if find_spec(name) is None]


def _torchvision_names() -> list[str]:
    """The classification models that are no transformers."""
    import torchvision

    names = torchvision.models.list_models(module=torchvision.models)
    return [name for name in names if not name.startswith(TRANSFORMERS)]
