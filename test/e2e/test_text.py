"""Tokenizers of the kinds that models ship, trained here on a little text, and chat templates: against the tokenizers and jinja2 libraries."""
import subprocess

import jinja2
import numpy as np
import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

PARTS = ["a", "b", "The", " ", "  ", "\n", "1", "23", "é", "ü", "中", "文", "😀", "'s", "'LL", "don't", "...", "!?", "_", "\u00a0", "ß", "²", "e\u0301", "\r\n", "x=1;", "def f(x):"]
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def samples():
    rng = np.random.default_rng(2)
    return ["".join(rng.choice(PARTS, rng.integers(1, 30))) for _ in range(200)]


def gpt2():
    t = tokenizers.Tokenizer(models.BPE())
    t.pre_tokenizer, t.decoder = pre_tokenizers.ByteLevel(add_prefix_space=True), decoders.ByteLevel()
    return t, dict(initial_alphabet=pre_tokenizers.ByteLevel.alphabet())


def llama3():
    t = tokenizers.Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(tokenizers.Regex(LLAMA3), "isolated"),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    return t, dict(initial_alphabet=pre_tokenizers.ByteLevel.alphabet())


def llama2():
    t = tokenizers.Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return t, dict(special=[f"<0x{i:02X}>" for i in range(256)])


def metaspace():
    t = tokenizers.Tokenizer(models.BPE(unk_token="<unk>"))
    t.pre_tokenizer, t.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    return t, {}


@pytest.mark.parametrize("make", [gpt2, llama3, llama2, metaspace])
def test_tokenizer(make, leat, tmp_path):
    tokenizer, options = make()
    special = ["<unk>", "<s>", "</s>"] + options.pop("special", [])
    tokenizer.train_from_iterator(samples(), trainers.BpeTrainer(vocab_size=600, special_tokens=special, show_progress=False, **options))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))])
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    done = subprocess.run([leat.path, "tokenize", path, "--null", "--special"], input="\0".join(samples()).encode(), capture_output=True, check=True)
    got = [[int(t) for t in line.split()] for line in done.stdout.decode().split("\0")[: len(samples())]]
    assert got == [tokenizer.encode(s).ids for s in samples()]


@pytest.mark.parametrize("broken", ["", "[]", '{"model": 3}', '{"model": {"type": "BPE", "vocab": {"a": "x"}, "merges": []}}',
                                    '{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "b"]]}}', '{"model": {"type": "Unigram"}}',
                                    '{"model": {"type": "BPE", "vocab": {}, "merges": []}, "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "("}}}',
                                    '{"model": {"type": "BPE", "vocab": {}, "merges": []}, "added_tokens": [{"id": -5, "content": "x"}]}'])
def test_broken_tokenizer_files_are_refused(broken, leat, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(broken)
    done = leat("tokenize", path, input="x\n", check=False)
    assert done.returncode in (3, 4) and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


CHATML = "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}{{ '<|im_start|>system\\nHi<|im_end|>\\n' }}{% endif %}" \
         "{{'<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
LLAMA = """{%- set ns = namespace(first=true) -%}
{% for message in messages %}
    {%- if ns.first and message.role == 'user' %}
        {%- set ns.first = false %}
{{ bos_token | default('<s>') }}[INST] {{ message.content | trim }} [/INST]
    {%- elif message['role'] in ['assistant', 'tool'] -%}
 {{ message['content'].strip() ~ '</s>' }}
    {%- else %}
{{ message.role | upper }}: {{ message.content[:3] }}{{ loop.index0 * 2 + 1 }}
    {%- endif %}
{% endfor %}
{% if add_generation_prompt and messages | length > 0 %}
ASSISTANT:
{% endif %}
"""
RAISES = "{% if messages[0].role == 'user' %}{{ raise_exception('users may not begin') }}{% endif %}"


@pytest.mark.parametrize("template", [CHATML, LLAMA])
def test_chat_template(template, leat, tmp_path):
    path = tmp_path / "tokenizer.json"
    tokenizer, _ = gpt2()
    tokenizer.train_from_iterator(samples(), trainers.BpeTrainer(vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.save(str(path))
    (tmp_path / "chat.jinja").write_text(template)
    env = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    for text in ("Hello", "  spaces  ", "what's 1 + 1?"):
        expected = env.from_string(template).render(messages=[{"role": "user", "content": text}], add_generation_prompt=True)
        ids = leat("tokenize", path, "--chat-template", tmp_path / "chat.jinja", input=text + "\n").stdout
        assert leat("tokenize", path, "--decode", "--null", input=ids.strip()).stdout.rstrip("\0") == expected


@pytest.mark.parametrize("template, words", [(RAISES, "users may not begin"), ("{% for x in y %}", "for is not closed"), ("{{ 1 + }}", "missing"),
                                             ("{% include 'x' %}", "include"), ("{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}", "million")])
def test_chat_templates_that_fail(template, words, leat, tmp_path):
    tokenizer, _ = gpt2()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "chat.jinja").write_text(template)
    done = leat("tokenize", tmp_path / "tokenizer.json", "--chat-template", tmp_path / "chat.jinja", input="x\n", check=False)
    assert done.returncode != 0 and words in done.stderr
