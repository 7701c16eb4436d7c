"""Attention in the form that quantises and compiles best, put in place of the libraries' own before export.

Query, key and value each get their own projection, so that each output has a quantisation range of its own and the
graph needs no Split; the factor 1/sqrt(head width) (Vaswani et al. 2017, arXiv 1706.03762) is folded into the query's
weights; tokens stay [N, T, width]. The arithmetic is the same but for rounding.
"""

import torch
from timm.layers.attention import Attention as TimmAttention
from timm.layers.attention_pool import AttentionPoolLatent
from timm.models.fastvit import Attention as FastVitAttention
from timm.models.fastvit import AttentionBlock as FastVitBlock
from torch import Tensor, nn


class PlainAttention(nn.Module):
    """tokens [N, T, width] and, if given, other tokens [N, S, width] to read from, to [N, T, width]."""

    def __init__(self, heads: int, query: nn.Linear, key: nn.Linear, value: nn.Linear, out: nn.Module) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = scaled(query, heads), key, value, out

    def forward(self, tokens: Tensor, read: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        read = tokens if read is None else read
        return self.out(attend(self.query(tokens), self.key(read), self.value(read), self.heads, mask))


class PlainMultihead(nn.Module):
    """Called as `nn.MultiheadAttention` with `batch_first` is."""

    def __init__(self, source: nn.MultiheadAttention) -> None:
        super().__init__()
        if source.in_proj_weight is None or source.bias_k is not None or not source.batch_first:
            raise NotImplementedError("attention with other widths for keys, extra biases or tokens first")
        biases = source.in_proj_bias.chunk(3) if source.in_proj_bias is not None else (None,) * 3
        parts = [linear(w, b) for w, b in zip(source.in_proj_weight.chunk(3), biases, strict=True)]
        self.attention = PlainAttention(source.num_heads, *parts, linear(source.out_proj.weight, source.out_proj.bias))

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, need_weights: bool = False, attn_mask: Tensor | None = None
    ) -> tuple[Tensor, None]:
        return self.attention(query, None if key is query else key, attn_mask), None


class PlainTimmAttention(nn.Module):
    """timm's `Attention`, tokens [N, T, width]; for FastViT's, maps [N, width, H, W]."""

    def __init__(self, source: TimmAttention | FastVitAttention) -> None:
        super().__init__()
        biases = source.qkv.bias.chunk(3) if source.qkv.bias is not None else (None,) * 3
        parts = [linear(w, b) for w, b in zip(source.qkv.weight.chunk(3), biases, strict=True)]
        self.attention = PlainAttention(source.num_heads, *parts, source.proj)

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
        if is_causal:
            raise NotImplementedError("causal attention in an image tower")
        if x.ndim == 3:
            return self.attention(x, mask=attn_mask)
        mixed = self.attention(x.flatten(2).transpose(1, 2))
        return mixed.transpose(1, 2).reshape(x.shape)


class PlainLatentPool(nn.Module):
    """timm's `AttentionPoolLatent` with one latent: its query is a constant, computed once."""

    def __init__(self, source: AttentionPoolLatent) -> None:
        super().__init__()
        self.heads = source.num_heads
        biases = source.kv.bias.chunk(2) if source.kv.bias is not None else (None,) * 2
        self.key, self.value = (linear(w, b) for w, b in zip(source.kv.weight.chunk(2), biases, strict=True))
        with torch.no_grad():
            query = scaled(source.q, source.num_heads) if isinstance(source.q, nn.Linear) else None
            fixed = query(source.latent) if query is not None else source.latent * source.scale
        self.register_buffer("query", fixed)
        self.proj, self.norm, self.mlp = source.proj, source.norm, source.mlp

    def forward(self, x: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        query = self.query.expand(x.shape[0], -1, -1)
        x = self.proj(attend(query, self.key(x), self.value(x), self.heads, attn_mask))
        if self.mlp is not None:
            x = x + self.mlp(self.norm(x))
        return x[:, 0]


class PlainAttentionPool2d(nn.Module):
    """CLIP's ResNet pooling (Radford et al. 2021, arXiv 2103.00020), maps [N, C, H, W] to [N, D].

    Only the mean token asks, since only its answer is used.
    """

    def __init__(self, source: nn.Module) -> None:
        super().__init__()
        self.positions = source.positional_embedding
        self.attention = PlainAttention(source.num_heads, source.q_proj, source.k_proj, source.v_proj, source.c_proj)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([x.mean(1, keepdim=True), x], 1) + self.positions
        return self.attention(x[:, :1], x)[:, 0]


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, mask: Tensor | None = None) -> Tensor:
    """Scaled queries [N, T, width], keys and values [N, S, width] to [N, T, width]; `mask` [T, S] is added."""
    n, tokens, width = query.shape
    split = width // heads
    query = query.reshape(n, tokens, heads, split).transpose(1, 2)
    key = key.reshape(n, -1, heads, split).permute(0, 2, 3, 1)
    value = value.reshape(n, -1, heads, split).transpose(1, 2)
    weights = query @ key
    if mask is not None:
        weights = weights + mask
    return (weights.softmax(-1) @ value).transpose(1, 2).reshape(n, tokens, width)


def scaled(query: nn.Linear, heads: int) -> nn.Linear:
    """The projection with 1/sqrt(head width) in its weights."""
    factor = (query.out_features // heads) ** -0.5
    return linear(query.weight.detach() * factor, None if query.bias is None else query.bias.detach() * factor)


def fold_norm(block: FastVitBlock) -> None:
    """Takes the batch norm before a FastViT attention into its projection, in place."""
    norm, qkv = block.norm, block.token_mixer.qkv
    with torch.no_grad():
        factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        shift = qkv.weight @ (norm.bias - norm.running_mean * factor)
        block.token_mixer.qkv = linear(qkv.weight * factor, shift if qkv.bias is None else qkv.bias + shift)
    block.norm = nn.Identity()


def linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A layer over these very tensors."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.detach(), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach(), requires_grad=False)
    return layer


def simplify(tower: nn.Module) -> nn.Module:
    """Replaces every attention that is known here, in place; others are left and only told not to fuse."""
    if isinstance(tower, FastVitBlock):
        fold_norm(tower)
    for name, child in list(tower.named_children()):
        setattr(tower, name, simplify(_replacement(child)))
    if getattr(tower, "fused_attn", False):
        tower.fused_attn = False
    return tower


def _replacement(module: nn.Module) -> nn.Module:
    if isinstance(module, nn.MultiheadAttention):
        return PlainMultihead(module)
    if isinstance(module, FastVitAttention):
        return PlainTimmAttention(module)
    if isinstance(module, TimmAttention) and _is_plain(module):
        return PlainTimmAttention(module)
    if isinstance(module, AttentionPoolLatent) and module.latent_len == 1 and module.pos_embed is None:
        if isinstance(module.q_norm, nn.Identity):
            return PlainLatentPool(module)
    if type(module).__name__ == "AttentionPool2d" and hasattr(module, "c_proj"):
        return PlainAttentionPool2d(module)
    if type(module).__name__ in ("CLIPAttention", "SiglipAttention"):
        module.q_proj, module.scale = scaled(module.q_proj, module.num_heads), 1.0
    return module


def _is_plain(module: TimmAttention) -> bool:
    extras = (module.q_norm, module.k_norm, module.norm)
    return module.gate is None and all(isinstance(extra, nn.Identity) for extra in extras)
