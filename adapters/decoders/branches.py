"""Several decoders on one frozen backbone, a branch for each domain, as one set of weights.

What counts as an entity differs between domains: everything in a photograph, a few pixels of a tile. A frozen encoder
that all share with domain-specific layers of a few megabytes is Rebuffi et al.'s answer for classes of images (Learning
multiple visual domains with residual adapters, https://arxiv.org/abs/1705.08045; Efficient parametrization of
multi-domain deep neural networks, https://arxiv.org/abs/1803.10082); here what is specific is an update of the
pretrained decoder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from adapters.decoders.decoder import Decoder

PREFIX = "of_"
"""Before the name of a branch, in the names of its weights: a module has attributes of its own, such as `train`."""


def weights_prefix(branch: str) -> str:
    """How the names of a branch's weights begin."""
    return f"{PREFIX}{branch}."


class Branches(Decoder):
    """Decoders by the name of their branch; it holds weights together, and decodes nothing itself."""

    def __init__(self, decoders: Mapping[str, Decoder]) -> None:
        super().__init__()
        for name, decoder in decoders.items():
            self.add_module(f"{PREFIX}{name}", decoder)
        lead = next(iter(decoders.values()))
        self.options, self.start = lead.options, lead.start

    def forward(self, features: Sequence[Tensor], images: Tensor) -> dict[str, Tensor]:
        """Refused: which branch decodes, the domain of the images says."""
        raise TypeError("ask a branch of its own: BranchedSegmenter.branches[name]")
