"""From the project's models to fastai's."""

from typing import Any

from torch import Tensor

from ulmfit.models import TiedDecoder, encoder_of


def fastai_state(model: Any) -> dict[str, Tensor]:
    """The weights of a language model or classifier under the names of fastai's.

    They fit `get_language_model` and `get_text_classifier` of the same sizes, by strict names.
    """
    encoder = encoder_of(model)
    is_lm = isinstance(model[1], TiedDecoder)
    place = "0." if is_lm else "0.module."
    embedding = encoder.encoder.weight.detach()
    state = {f"{place}encoder.weight": embedding, f"{place}encoder_dp.emb.weight": embedding}
    for i, layer in enumerate(encoder.rnns):
        for name, weight in layer.named_parameters():
            own = f"{name}_raw" if name == "weight_hh_l0" else f"module.{name}"
            state[f"{place}rnns.{i}.{own}"] = weight.detach()
    if is_lm:
        return state | {"1.decoder.weight": embedding, "1.decoder.bias": model[1].bias.detach()}
    for name, weight in model[1].layers.state_dict().items():
        layer_name, rest = name.split(".", 1)
        block, position = divmod(int(layer_name), 4)  # fastai's head is made of blocks of four
        state[f"1.layers.{block}.{position}.{rest}"] = weight
    return state
