"""Answers are found in what templates write, whatever is said; a template that marks its answers itself is the judge."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tiers import examples
from vlmfreeze_widgets.adapters.chat_templates import answers_marked, marks_answers, render
from vlmfreeze_widgets.data.answers import find_answers, shared
from vlmfreeze_widgets.data.rows import ASSISTANT, BadRow, Message

# Each with a mark around what is to be learned; the marks are taken out before the answers are looked for.
TEMPLATES = {
    "chatml": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|im_end|>"
        "{% endgeneration %}{% else %}{{ m.content }}<|im_end|>{% endif %}\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
    "phi": (
        "{% for m in messages %}<|{{ m.role }}|>\n{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|end|>"
        "{% endgeneration %}{% else %}{{ m.content }}<|end|>{% endif %}\n{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
    ),
    "mistral": (
        "<s>{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}</s>{% endgeneration %}"
        "{% else %}[INST]{{ m.content }}[/INST]{% endif %}{% endfor %}"
    ),
    "llama 3": (
        "<s>{% for m in messages %}<|start|>{{ m.role }}<|stop|>\n\n{% if m.role == 'assistant' %}{% generation %}"
        "{{ m.content }}<|eot|>{% endgeneration %}{% else %}{{ m.content }}<|eot|>{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|start|>assistant<|stop|>\n\n{% endif %}"
    ),
    "gemma": (
        "<s>{% for m in messages %}<|turn|>{{ 'model' if m.role == 'assistant' else m.role }}\n{% if m.role == 'assistant' %}"
        "{% generation %}{{ m.content | trim }}<|end|>{% endgeneration %}{% else %}{{ m.content | trim }}<|end|>{% endif %}\n"
        "{% endfor %}{% if add_generation_prompt %}<|turn|>model\n{% endif %}"
    ),
    "glm": (
        "[gMASK]<sop>{% for m in messages %}<|{{ m.role }}|>\n{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
        "{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
    ),
    "end of text only once": (
        "{% for m in messages %}{{ m.role | upper }}: {% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
        "{% if loop.last %}</s>{% endif %}{% endgeneration %}{% else %}{{ m.content }}\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}ASSISTANT: {% endif %}"
    ),
    "the generation prompt thinks": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|im_end|>"
        "{% endgeneration %}{% else %}{{ m.content }}<|im_end|>{% endif %}\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
    ),
    "old answers lose their thoughts": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}"
        "{{ m.content.split('</think>')[-1] if not loop.last else m.content }}<|im_end|>"
        "{% endgeneration %}{% else %}{{ m.content }}<|im_end|>{% endif %}\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
}
SPECIALS = [
    "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|end|>", "<|user|>", "<|assistant|>", "<|eot|>", "<|start|>", "<|stop|>",
    "<|turn|>", "[gMASK]", "<sop>", "[INST]", "[/INST]",
]  # fmt: skip


def bare(template):
    return template.replace("{% generation %}", "").replace("{% endgeneration %}", "")


def chat(said):
    return [Message("assistant" if i % 2 else "user", (text,)) for i, text in enumerate(said)]


def plain(messages):
    return [{"role": m.role, "content": m.text} for m in messages]


def found(template, messages):
    source = bare(template)
    text, spans = find_answers(lambda m, ask: render(source, plain(m), {}, ask=ask) if m else "", messages, SPECIALS)
    assert not marks_answers(source)
    return text, [(s.start, s.end) for s in spans]


def judged(template, messages):
    return answers_marked(template, plain(messages), {})


WORDS = st.sampled_from(
    [
        "user",
        "assistant",
        "ASSISTANT:",
        "USER:",
        "model",
        "think",
        "<think>",
        "</think>",
        "yes",
        "no",
        "a",
        "end",
        "im_end",
        "\n",
        " ",
        ":",
    ]
)
SAID = st.lists(WORDS, min_size=1, max_size=5).map("".join).map(str.strip).filter(bool)


@pytest.mark.parametrize("name", TEMPLATES)
@settings(max_examples=examples(150), deadline=None)
@given(said=st.lists(SAID, min_size=2, max_size=6))
def test_what_is_found_is_what_the_template_itself_would_mark_or_the_row_is_refused(name, said):
    messages = chat(said[: len(said) // 2 * 2])
    try:
        text, spans = found(TEMPLATES[name], messages)
    except BadRow as refused:
        # Refusing is for templates that change what was said, and for answers that begin as the prompt's end does.
        if refused.code == "labels" and name in {"old answers lose their thoughts", "the generation prompt thinks"}:
            return
        raise
    for (start, end), (first, last) in zip(spans, judged(TEMPLATES[name], messages), strict=True):
        assert text[start:end].strip() == text[first:last].strip()
        assert start <= first or not text[first:start].strip()
        assert end >= last and (start >= first or not text[start:first].strip())


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_usual_conversation_is_never_refused(name):
    messages = chat(["How many?", "Three.", "Sure?", "Quite."])
    text, spans = found(TEMPLATES[name], messages)
    assert [text[s:e].strip() for s, e in spans] == [text[s:e].strip() for s, e in judged(TEMPLATES[name], messages)]


def test_an_answer_whose_thought_the_template_drops_is_refused():
    said = ["How many?", "<think>Hm.</think>Three.", "Sure?", "Quite."]
    with pytest.raises(BadRow, match="answer 1"):
        found(TEMPLATES["old answers lose their thoughts"], chat(said))


def test_an_answer_that_the_template_drops_is_not_found_in_a_later_turn():
    template = TEMPLATES["chatml"].replace(
        "{{ m.content }}<|im_end|>{% endgen", "{{ m.content if loop.last }}<|im_end|>{% endgen"
    )
    with pytest.raises(BadRow):
        found(template, chat(["How many?", "Three.", "Sure?", "Three."]))


def naive(messages, template):
    """The control: the first place where the answer's text stands."""
    text = render(bare(template), plain(messages), {})
    return text, [(text.find(m.text), text.find(m.text) + len(m.text)) for m in messages if m.role == ASSISTANT]


def test_looking_for_the_text_of_the_answer_alone_is_caught_by_the_same_judge():
    messages = chat(["yes or no? yes", "yes"])
    _, spans = naive(messages, TEMPLATES["chatml"])
    assert spans[0][0] < judged(TEMPLATES["chatml"], messages)[0][0]
    assert found(TEMPLATES["chatml"], messages)[1] == judged(TEMPLATES["chatml"], messages)


@given(one=st.text("ab", max_size=9), other=st.text("ab", max_size=9))
def test_the_shared_start_of_two_texts_is_as_long_as_it_can_be(one, other):
    length = shared(one, other)
    assert one[:length] == other[:length]
    assert length == min(len(one), len(other)) or one[length] != other[length]
