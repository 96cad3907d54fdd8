"""The peer of `swegym bench train` and `bench generate`: transformers on
PyTorch's CPU build, same model, same tokens.

    python peer.py train MODEL TOKENS BATCH CONTEXT STEPS THREADS
    python peer.py generate MODEL BATCH PROMPT NEW THREADS

MODEL is a folder; TOKENS a file of 32-bit ids. Prints one line of JSON.
"""

import json
import resource
import statistics
import sys
import time

import numpy
import torch
from transformers import AutoModelForCausalLM


def load(folder, threads):
    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
    return model


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def train(folder, tokens, batch, context, steps, threads):
    model = load(folder, threads).train()
    rows = torch.from_numpy(numpy.fromfile(tokens, numpy.int32)).long().view(-1, batch, context + 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.01, fused=True)
    seconds, losses = [], []
    for step in range(steps + 2):
        begin = time.perf_counter()
        x = rows[step % len(rows)]
        logits = model(x[:, :-1], use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), x[:, 1:].reshape(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        seconds.append(time.perf_counter() - begin)
    median = statistics.median(seconds[2:])
    print(json.dumps({"per_second": batch * context / median, "memory_mib": peak(), "losses": losses}))


def generate(folder, batch, prompt, new, threads):
    model = load(folder, threads).eval()
    ids = torch.randint(0, 256, (batch, prompt))
    best = float("inf")
    for _ in range(3):
        begin = time.perf_counter()
        with torch.inference_mode():
            model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, min_new_tokens=new,
                           do_sample=True, temperature=0.8, pad_token_id=0)
        best = min(best, time.perf_counter() - begin)
    print(json.dumps({"per_second": batch * new / best, "memory_mib": peak()}))


if __name__ == "__main__":
    verb, folder, *rest = sys.argv[1:]
    if verb == "train":
        tokens, *numbers = rest
        train(folder, tokens, *map(int, numbers))
    else:
        generate(folder, *map(int, rest))
