"""Makes the golden files: tiny random models, and what transformers says of
them in double precision. Run with the versions of requirements.txt:

    python make.py OUT [SEED]

CI compares against the committed files (made with seed 0); with another seed
the same tests run on fresh models (SWEGYM_GOLDEN, see tests/golden.rs).
"""

import json
import os
import sys

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config

SIZES = dict(vocab_size=160, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4)
MODELS = {
    "qwen2": Qwen2Config(**SIZES, num_key_value_heads=2, tie_word_embeddings=True, max_position_embeddings=2048,
                         rms_norm_eps=1e-6, rope_theta=1_000_000.0),
    "qwen3": Qwen3Config(**SIZES, num_key_value_heads=1, head_dim=16, tie_word_embeddings=False,
                         max_position_embeddings=2048, rms_norm_eps=1e-6),
    "llama": LlamaConfig(**SIZES, num_key_value_heads=4, tie_word_embeddings=False, max_position_embeddings=2048,
                         rms_norm_eps=1e-5, attention_bias=True,
                         rope_scaling=dict(rope_type="llama3", factor=4.0, low_freq_factor=1.0,
                                           high_freq_factor=4.0, original_max_position_embeddings=16)),
    "yarn": Qwen2Config(**SIZES, num_key_value_heads=4, tie_word_embeddings=False, max_position_embeddings=2048,
                        rope_scaling=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=16)),
}
LENGTHS = [37, 22]


def make(name, config, out, seed):
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float()
    with torch.no_grad():
        for key, value in model.named_parameters():
            if key.endswith("bias"):
                value.normal_(0, 0.1)
            elif "norm" in key:
                value.copy_(1 + 0.2 * torch.randn_like(value))
            else:
                value.mul_(4)
    folder = os.path.join(out, name)
    model.save_pretrained(folder)
    model = model.double().eval()
    ids = [torch.randint(0, config.vocab_size, (1, length)) for length in LENGTHS]
    weights = [(torch.rand(1, length) * (torch.rand(1, length) > 0.4)).double() for length in LENGTHS]
    total = sum(w[:, 1:].sum() for w in weights)
    logits, loss = [], 0
    for tokens, weight in zip(ids, weights):
        rows = model(tokens).logits
        logits.append(rows.detach())
        chosen = torch.log_softmax(rows[:, :-1], -1).gather(-1, tokens[:, 1:, None])[..., 0]
        loss = loss - (chosen * weight[:, 1:]).sum() / total
    loss.backward()
    golden = {"loss": loss.detach().reshape(1).float()}
    for index in range(len(ids)):
        golden[f"ids.{index}"] = ids[index][0].int()
        golden[f"weights.{index}"] = weights[index][0].float()
        golden[f"logits.{index}"] = logits[index][0].float().contiguous()
    for key, value in model.named_parameters():
        golden["grad." + key] = value.grad.float().contiguous()
    save_file(golden, os.path.join(folder, "golden.safetensors"))
    for odd in ("generation_config.json",):
        if os.path.exists(os.path.join(folder, odd)):
            os.remove(os.path.join(folder, odd))


if __name__ == "__main__":
    out, seed = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0
    for name, config in MODELS.items():
        make(name, config, out, seed)
    print(json.dumps({"made": sorted(MODELS), "torch": torch.__version__}))
