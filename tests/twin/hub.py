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
    return randomize(hf.GPT2LMHeadModel(hf.GPT2Config(
        vocab_size=vocab, n_positions=context, n_embd=24, n_layer=2, n_head=3, bos_token_id=end, eos_token_id=end, **more)))


def llama(vocab, context, end, **more):
    return randomize(hf.LlamaForCausalLM(hf.LlamaConfig(
        vocab_size=vocab, max_position_embeddings=context, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, bos_token_id=end, eos_token_id=end, pad_token_id=None, **more)))


MODELS = {
    "GPT-2": lambda *sizes: gpt2(*sizes),
    "GPT-2, own head, exact GELU, n_inner": lambda *sizes: gpt2(*sizes, tie_word_embeddings=False, activation_function="gelu", n_inner=52),
    "Llama": lambda *sizes: llama(*sizes),
    "Llama, tied, wide heads, another theta": lambda *sizes: llama(*sizes, tie_word_embeddings=True, head_dim=10, rms_norm_eps=1e-5,
                                                                  rope_parameters={"rope_type": "default", "rope_theta": 500000.0}),
}
