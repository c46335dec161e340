"""Records what ComfyUI's SDTokenizer and prompt parser make of a set of prompts.

    COMFYUI_DIR=<ComfyUI checkout> python tests/parity/make_tokenizer_fixture.py

writes tests/parity/fixtures/clip_tokens.json and prompt_weights.json; run it with the packages that this
ComfyUI asks for. Tokens stand as ids; a vector of an embedding as the negative number that fills it.
Weights stand as runs [count, weight].
"""

import json
import math
import os
import pathlib
import random
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
sys.path.insert(0, os.environ["COMFYUI_DIR"])
sys.argv = sys.argv[:1]

import comfy.cli_args  # noqa: E402

comfy.cli_args.args.cpu = True

import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from comfy import sd1_clip  # noqa: E402

WIDTH = 768
# Name -> shape; row r of embedding k is filled with -(1000 * (k + 1) + r).
EMBEDDINGS = {"one": (WIDTH,), "three": (3, WIDTH), "nine": (9, WIDTH), "sub/deep": (2, WIDTH)}


def words(count):
    return " ".join(["cat"] * count)


PROMPTS = [
    "",
    " ",
    "\n\t ",
    "a",
    "a photo of an astronaut riding a horse on mars",
    "A Photo Of AN ASTRONAUT",
    "masterpiece, best quality, 1girl, solo, long hair, (blue eyes:1.2), [sketch]",
    "it's they're we've I'm you'll he'd can't IT'S 'tis ''s",
    "don’t “quote” — dash… ¿qué?",
    "2024 12.5% 3x4 ½ ² Ⅳ ①",
    "café naïve Ångström Ünïcödé straße",
    "cafe\u0301 n\u0303 A\u030a \u1e9b\u0323",
    "İstanbul ısı ΣΑΣ ΌΣΟΣ",
    "ﬁne ﬀ ｆｕｌｌｗｉｄｔｈ ＡＢＣ",
    "一只猫坐在桌子上，背景是山",
    "東京タワーの夜景、高品質",
    "안녕하세요 서울",
    "привет мир, как дела?",
    "مرحبا بالعالم ١٢٣",
    "สวัสดีชาวโลก नमस्ते दुनिया १२३",
    "🐱 a cat 👩‍🚀 emoji 🏳️‍🌈❤️",
    "zero\u200bwidth non\u00a0breaking ideographic\u3000space soft\u00adhyphen",
    "tab\tnewline\ncarriage\rreturn\x0bvertical\x0cform\x85next\u2028line",
    "control\x01\x1f\x7f characters \x1c fs",
    "under_score hyphen-ated slash/back\\slash @user #tag $5 a&b",
    "<lora:name:0.8> <|startoftext|> <|endoftext|> <|ENDOFTEXT|>x!!<|endoftext|>!!",
    "<|endoftext|",
    "((((deep))))",
    "(x)",
    "((x:1.5))",
    "(a (b:0.5) c:1.3)",
    "(red:1.2) and (blue:0.8), (green)",
    "(empty:) () (:1.2) (::1.2) (a:b:1.2)",
    "(spaces: 1.5 ) (exp:1e-1) (under:1_0.5) (inf:inf) (plus:+2) (dot:.5) (full:１.５)",
    "\\(escaped\\) (in \\(side\\):1.4) \\\\(double\\\\)",
    "unbalanced ((a) and b",
    "unbalanced a)) (b:1.3) (c",
    ")(",
    "(a:1.2)(b:1.3)",
    "nested (a (b (c (d:1.9) e) f) g)",
    "weights (" + words(40) + ":1.1) (" + words(40) + ":0.9)",
    words(74),
    words(75),
    words(76),
    words(77),
    words(150),
    words(151),
    words(210),
    "(" + words(70) + ":1.2) (dog dog dog dog dog dog dog:0.9) tail",
    "(" + words(70) + ":1.2) (dog dog dog dog dog dog dog dog:0.9) tail",
    "x" * 300,
    "supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis",
    "a, " * 120,
    "!?!?!?...,,,;;;:::---===+++***^^^~~~```",
    "embedding:one",
    "a cat, embedding:three, in a style",
    "(embedding:three:1.3) and embedding:nine",
    "embedding:missing is gone, but embedding:one, stays",
    "xembedding:one not one",
    "a embedding:sub/deep b",
    "embedding:one<tail> more embedding:one[x] end",
    "embedding:,one, , embedding:three,,",
    words(70) + " embedding:three " + words(3) + " embedding:three",
    words(70) + " embedding:nine tail",
    "(embedding:one embedding:one:0.5)",
    "embedding:one\nembedding:three\tembedding:one",
    "embedding:missing",
]


def random_prompts():
    generator = random.Random(3)
    alphabet = "((()))\\:a1. 2e-"
    return ["".join(generator.choices(alphabet, k=generator.randint(1, 24))) for _ in range(500)]


FLOATS = [
    "1", " 1.5 ", "\x1c1", "1\x85", "\u00a01.5", "１.２", "1_0", "1__0", "_1", "1_", "1_.0", "1._0", "1e1_0",
    "1e_1", "iNf", "infinity", "-inf", "nan", "+nan", "infinit", "1e999", "-1e999", "1e-999", "0x10", ".5",
    "5.", ".", "e5", "+ 1", "++1", "1 2", "", " ", "1\0", "٣.٥e1", "1.e2", ".e2", "1e+", "1e+2", "1e",
    "0e99999999999999999999", "1e99999999999999999999", "1e-99999999999999999999", "1" * 400,
    "0." + "0" * 400 + "1", "0.1", "1.7976931348623159e308", "4.9e-324", "2e-324", "123456789012345678901",
    "1,5", "1.5f", "१.५", "½", "²", "１_０", "-0",
]  # fmt: skip


def number(value):
    return value if math.isfinite(value) else str(value)


def runs(weights):
    out = []
    for weight in weights:
        if out and out[-1][1] == number(weight):
            out[-1][0] += 1
        else:
            out.append([1, number(weight)])
    return out


def token(value):
    return int(value[0].item()) if isinstance(value, torch.Tensor) else int(value)


def parse(prompt):
    parsed = sd1_clip.token_weights(sd1_clip.escape_important(prompt), 1.0)
    return [[sd1_clip.unescape_important(text), number(weight)] for text, weight in parsed]


def python_float(text):
    try:
        return number(float(text))
    except ValueError:
        return None


def write(name, lines):
    """One entry a line, so that a change shows as such."""
    path = HERE / "fixtures" / name
    path.parent.mkdir(exist_ok=True)
    body = ",\n".join(json.dumps(line, separators=(",", ":")) for line in lines)
    path.write_text("[\n" + body + "\n]\n")
    print(path, path.stat().st_size)


def main():
    with tempfile.TemporaryDirectory() as folder:
        for k, (name, shape) in enumerate(EMBEDDINGS.items()):
            rows = torch.zeros(shape)
            for r in range(1 if len(shape) == 1 else shape[0]):
                (rows if len(shape) == 1 else rows[r]).fill_(-(1000.0 * (k + 1) + r))
            path = pathlib.Path(folder, name + ".safetensors")
            path.parent.mkdir(exist_ok=True)
            save_file({"emb_params": rows}, path)
        tokenizer = sd1_clip.SDTokenizer(embedding_directory=folder)
        entries = []
        for prompt in PROMPTS:
            chunks = tokenizer.tokenize_with_weights(prompt)
            entries.append({
                "prompt": prompt,
                "chunks": [[token(t) for t, _ in chunk] for chunk in chunks],
                "weights": [runs(w for _, w in chunk) for chunk in chunks],
            })  # fmt: skip
    write("clip_tokens.json", entries)
    write(
        "prompt_weights.json",
        [{"prompt": p, "segments": parse(p)} for p in PROMPTS + random_prompts()]
        + [{"float": text, "value": python_float(text)} for text in FLOATS],
    )


if __name__ == "__main__":
    main()
