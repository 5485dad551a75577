"""hub.py -- small models of transformers' own, with random weights at a scale at which every part matters."""
import torch
import transformers as hf

hf.utils.logging.disable_progress_bar()


def randomize(model, seed=1):
    """Matrices keep the scale of what they multiply, gains lie around 1, biases are not 0."""
    dice = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        std = p.shape[-1] ** -0.5 if p.dim() > 1 else 0.3
        p.data = (1.0 if p.dim() == 1 and name.endswith("weight") else 0.0) + std * torch.randn(p.shape, generator=dice)
    return model.eval()


def gpt2(vocab, context, end, **more):
    sizes = dict(vocab_size=vocab, n_positions=context, n_embd=24, n_layer=2, n_head=3, bos_token_id=end, eos_token_id=end)
    return randomize(hf.GPT2LMHeadModel(hf.GPT2Config(**(sizes | more))))


def llama(vocab, context, end, family="Llama", **more):
    sizes = dict(vocab_size=vocab, max_position_embeddings=context, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
                 num_key_value_heads=2, bos_token_id=end, eos_token_id=end, pad_token_id=None)
    return randomize(getattr(hf, f"{family}ForCausalLM")(getattr(hf, f"{family}Config")(**(sizes | more))))


def turning(kind, theta=10000.0, **more):
    """A model's key rope_parameters."""
    return {"rope_parameters": {"rope_type": kind, "rope_theta": theta, **more}}


LLAMA3 = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8)

MODELS = {
    "GPT-2": lambda *sizes: gpt2(*sizes),
    "GPT-2, own head, exact GELU, n_inner": lambda *sizes: gpt2(*sizes, tie_word_embeddings=False, activation_function="gelu", n_inner=52),
    "GPT-2, relu, scores by layer": lambda *sizes: gpt2(*sizes, activation_function="relu", scale_attn_by_inverse_layer_idx=True, reorder_and_upcast_attn=True),
    "GPT-2, gelu_fast, scores as they are": lambda *sizes: gpt2(*sizes, activation_function="gelu_fast", scale_attn_weights=False),
    "Llama": lambda *sizes: llama(*sizes),
    "Llama, tied, wide heads, another theta": lambda *sizes: llama(*sizes, tie_word_embeddings=True, head_dim=10, rms_norm_eps=1e-5, **turning("default", 500000.0)),
    "Llama, biases everywhere, a key/value head each": lambda *sizes: llama(*sizes, attention_bias=True, mlp_bias=True, num_key_value_heads=4),
    "Llama, linear": lambda *sizes: llama(*sizes, **turning("linear", factor=4.0)),
    "Llama, dynamic": lambda *sizes: llama(*sizes, **turning("dynamic", factor=4.0)),
    "Llama, llama3": lambda *sizes: llama(*sizes, head_dim=16, **turning("llama3", 500.0, **LLAMA3)),
    "Llama, yarn": lambda *sizes: llama(*sizes, head_dim=16, **turning("yarn", 100.0, factor=sizes[1] / 4, original_max_position_embeddings=4)),
    "Mistral, a window of 7": lambda *sizes: llama(*sizes, family="Mistral", sliding_window=7, num_key_value_heads=1),
    "Mistral, no window, yarn as it is told": lambda *sizes: llama(*sizes, family="Mistral", sliding_window=None, head_dim=16, **turning(
        "yarn", 1000.0, factor=sizes[1] / 8, original_max_position_embeddings=8, beta_fast=4, beta_slow=0.5, mscale=0.5, mscale_all_dim=2.0, truncate=False)),
    "Qwen2": lambda *sizes: llama(*sizes, family="Qwen2", tie_word_embeddings=True),
    "Qwen2, a window from layer 1 on": lambda *sizes: llama(*sizes, family="Qwen2", use_sliding_window=True, sliding_window=5, max_window_layers=1),
    "Qwen3": lambda *sizes: llama(*sizes, family="Qwen3", head_dim=8),
    "Qwen3, tied, biases, a window": lambda *sizes: llama(*sizes, family="Qwen3", tie_word_embeddings=True, attention_bias=True, head_dim=12, use_sliding_window=True,
                                                          sliding_window=9, max_window_layers=0, **turning("linear", 1e6, factor=2.0)),
}
