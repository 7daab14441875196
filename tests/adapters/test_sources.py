"""Whatever names a model: folders, shards, the Hub cache, hostile configs. No weight is read, no code is run."""

import json
import time

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import vlmfreeze_widgets as vf
from tests.tiny import batches, tiny_llava
from vlmfreeze_widgets.adapters import hub_cache, timm_towers, transformers_weights
from vlmfreeze_widgets.adapters.safetensors_headers import read_checkpoint
from vlmfreeze_widgets.adapters.transformers_configs import find_config
from vlmfreeze_widgets.core.errors import BadSource, RemoteCode, UnknownTarget


@pytest.fixture
def folder(tmp_path):
    tiny_llava().save_pretrained(tmp_path / "my-vlm")
    return tmp_path / "my-vlm"


def rewrite(folder, **changes):
    file = folder / "config.json"
    values = json.loads(file.read_text())
    values.update(changes)
    file.write_text(json.dumps(values))


# --- folders and headers -----------------------------------------------------------------------------------------------


def test_a_folder_tells_what_its_files_hold_without_reading_a_weight(folder):
    tree = vf.read_tree(folder)
    stored = tree.checkpoint
    assert (tree.title, tree.device) == ("my-vlm", "meta")
    assert stored.files == ("model.safetensors",)
    assert stored.stored_params == tree.total_params
    assert stored.stored_bytes == 4 * tree.total_params
    assert stored.dtypes == {"float32": stored.stored_bytes}


def test_the_dtype_is_that_of_the_files(folder):
    tiny_llava().to(torch.bfloat16).save_pretrained(folder)
    tree = vf.read_tree(folder)
    assert tree.dtype == "bfloat16"
    assert tree.total_bytes == 2 * tree.total_params


def test_shards_are_found_through_their_index_and_a_missing_one_is_named(folder):
    tiny_llava().save_pretrained(folder, max_shard_size="100KB")
    (folder / "model.safetensors").unlink()
    whole = read_checkpoint(folder)
    assert len(whole.files) > 1
    assert whole.stored_params == vf.read_tree(folder).total_params
    (folder / whole.files[0]).unlink()
    part = read_checkpoint(folder)
    assert part.missing == (whole.files[0],)
    assert part.stored_params < whole.stored_params


def test_a_config_alone_is_enough(folder):
    (folder / "model.safetensors").unlink()
    tree = vf.read_tree(folder)
    assert tree.checkpoint is None
    assert tree.total_params == vf.read_tree(folder / "config.json").total_params


@pytest.mark.parametrize(
    "bytes_",
    [b"", b"\x00" * 4, b"\xff" * 16, (10**12).to_bytes(8, "little") + b"{}", (9).to_bytes(8, "little") + b"not json!"],
)
def test_a_broken_weight_file_is_named(folder, bytes_):
    (folder / "model.safetensors").write_bytes(bytes_)
    with pytest.raises(BadSource, match=r"model\.safetensors cannot be read") as caught:
        vf.read_tree(folder)
    assert "Download it again" in caught.value.remedy


@pytest.mark.check("X5")
def test_an_index_cannot_lead_out_of_the_folder(folder, tmp_path):
    save_file({"secret": torch.zeros(7)}, tmp_path / "elsewhere.safetensors")
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "../elsewhere.safetensors", "b": str(tmp_path / "elsewhere.safetensors")}})
    )
    assert read_checkpoint(folder) is None


@pytest.mark.check("X6")
def test_pickled_weights_are_never_opened(folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch canary'\ntR.")
    assert vf.read_tree(folder).checkpoint is None
    with pytest.raises(BadSource, match="cannot be loaded"):
        transformers_weights.load(folder)


@pytest.mark.parametrize("text", ["", "[]", "{", "\ufeff", '{"model_type": 7}', '{"no": "type"}', '{"a":' * 3000])
def test_a_config_that_is_none_gets_a_clear_error(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(BadSource) as caught:
        vf.read_tree(folder)
    assert caught.value.remedy


# --- code of the checkpoint's own --------------------------------------------------------------------------------------


@pytest.mark.check("X5")
def test_remote_code_is_named_and_not_run(folder):
    own = {"AutoConfig": "configuration_new.NewConfig", "AutoModel": "x--modeling_new.N"}
    rewrite(folder, model_type="brand_new", auto_map=own)
    (folder / "configuration_new.py").write_text("raise SystemExit('the canary')")
    with pytest.raises(RemoteCode, match=r"configuration_new\.py, modeling_new\.py") as caught:
        vf.read_tree(folder)
    assert "trust_remote_code=True" in caught.value.remedy


@pytest.mark.check("X5")
def test_a_known_type_with_code_of_its_own_uses_the_class_of_transformers(folder):
    rewrite(folder, auto_map={"AutoConfig": "evil.Config", "AutoModelForImageTextToText": "evil.Model"})
    (folder / "evil.py").write_text("raise SystemExit('the canary')")
    assert vf.read_tree(folder).total_params == vf.read_tree(tiny_llava()).total_params


@pytest.mark.check("X5")
@pytest.mark.parametrize("key", ["_attn_implementation", "_attn_implementation_internal", "attn_implementation"])
def test_an_attention_implementation_from_the_hub_is_never_fetched(folder, key, monkeypatch):
    def canary(*_, **__):
        raise AssertionError("the Hub was asked for a kernel")

    monkeypatch.setattr("transformers.modeling_utils.lazy_import_flash_attention", canary)
    values = json.loads((folder / "config.json").read_text())
    rewrite(
        folder,
        text_config={**values["text_config"], key: "evil/kernel"},
        **{key: "evil/kernel"},
        trust_remote_code=True,
    )
    found = find_config(folder).config
    assert found._attn_implementation is None
    assert found.text_config._attn_implementation is None
    assert vf.read_tree(folder).total_params


def test_a_persons_config_object_is_left_as_it_was():
    config = tiny_llava().config
    config.text_config._attn_implementation = "eager"
    before = config.to_dict()
    vf.read_tree(config)
    assert config.to_dict() == before
    assert config.text_config._attn_implementation == "eager"


# --- the Hub -----------------------------------------------------------------------------------------------------------


def test_a_hub_id_is_taken_from_the_cache_first(folder, monkeypatch):
    monkeypatch.setattr(
        hub_cache, "cached_folder", lambda hub_id: folder if hub_id == "Qwen/Qwen2.5-VL-7B-Instruct" else None
    )
    tree = vf.read_tree("Qwen/Qwen2.5-VL-7B-Instruct")
    assert tree.title == "Qwen2.5-VL-7B-Instruct"
    assert tree.total_params == vf.read_tree(folder).total_params


def test_a_real_cache_is_read(folder, tmp_path, monkeypatch):
    snapshot = tmp_path / "hub" / "models--me--my-vlm" / "snapshots" / "abc"
    snapshot.parent.mkdir(parents=True)
    folder.rename(snapshot)
    refs = tmp_path / "hub" / "models--me--my-vlm" / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    tree = vf.read_tree("me/my-vlm")
    assert tree.title == "my-vlm"
    assert tree.checkpoint.stored_params == tree.total_params


@pytest.mark.check("F19")
def test_an_id_that_nobody_has_names_its_neighbours_in_the_catalogue(figure):
    started = time.monotonic()
    with pytest.raises(BadSource, match="Neither the local cache nor the network") as caught:
        vf.read_tree("Qwen/Qwen2.5-VL-8B-Instruct")
    figure(time.monotonic() - started, at_most=2)
    assert "Qwen/Qwen2.5-VL-7B-Instruct" in caught.value.remedy


@pytest.mark.parametrize("text", ["no/such/folder/here", "/etc/passwd", "../up", "a b", "x" * 400, "", "C:\\models"])
def test_what_can_be_neither_path_nor_id_is_refused_without_asking_anybody(text, monkeypatch):
    monkeypatch.setattr(hub_cache, "fetched_folder", lambda _: pytest.fail("the network was asked"))
    with pytest.raises(BadSource):
        vf.read_tree(text)


# --- towers of timm ----------------------------------------------------------------------------------------------------


def test_a_tower_of_timm_is_planned_with_where_timm_is_missing():
    tree = vf.read_tree({"model_type": "gemma3n"})
    assert tree.component_params("vision_tower") == 294_126_912 + tree["model.vision_tower"].own_params
    assert tree["model.vision_tower"].total_params == 294_126_912


def test_a_tower_without_a_skeleton_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(timm_towers, "timm_works", lambda: False)
    with pytest.raises(BadSource, match="comes from timm") as caught:
        vf.read_tree({"model_type": "perception_lm"})
    assert "pip install timm" in caught.value.remedy


def test_the_wrapper_of_transformers_is_as_before_afterwards():
    from transformers.models.timm_wrapper.modeling_timm_wrapper import TimmWrapperModel

    before = TimmWrapperModel.__init__
    vf.read_tree({"model_type": "gemma3n"})
    assert TimmWrapperModel.__init__ is before


# --- corrections and guesses -------------------------------------------------------------------------------------------


class Homemade(nn.Module):
    def __init__(self):
        super().__init__()
        self.eyes = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        self.bridge = nn.Linear(4, 4)
        self.words = nn.Embedding(9, 4)
        self.llm = nn.Linear(4, 9)


def test_a_person_corrects_components_and_the_rest_stays_found():
    tree = vf.read_tree(
        Homemade(), components={"vision_tower": "eyes", "language_model": ["llm"], "embeddings": "words"}
    )
    assert tree.components["vision_tower"] == ("eyes",)
    assert tree.components["projector"] == ("bridge",)
    assert (tree.basis, tree.is_guess) == ("given", False)
    assert sum(tree.component_params(c) for c in tree.components) == tree.total_params


def test_components_from_names_alone_are_marked_as_a_guess():
    guess, known = vf.read_tree(Homemade()), vf.read_tree(tiny_llava())
    assert guess.is_guess
    assert "guess" in str(guess)
    assert not known.is_guess
    assert "guess" not in str(known)
    assert sum(guess.component_params(c) for c in guess.components) == guess.total_params


@pytest.mark.parametrize("given", [{"vision_tower": "eys"}, {"vision": "eyes"}])
def test_a_correction_that_names_nothing_is_refused_with_the_nearest(given):
    with pytest.raises(UnknownTarget, match="Did you mean"):
        vf.read_tree(Homemade(), components=given)


# --- wrapped and quantized models --------------------------------------------------------------------------------------


@pytest.mark.check("B6")
@pytest.mark.parametrize("wrap", [torch.compile, nn.DataParallel, lambda m: torch.compile(nn.DataParallel(m))])
def test_a_wrapped_model_has_the_names_of_the_model_inside(wrap, monkeypatch):
    monkeypatch.delenv("TORCHDYNAMO_DISABLE")
    model = tiny_llava()
    assert wrap(model) is not model
    assert [n.path for n in vf.read_tree(wrap(model)).nodes] == [n.path for n in vf.read_tree(model).nodes]


@pytest.mark.check("N26")
def test_a_4_bit_weight_counts_its_real_elements_and_its_packed_bytes():
    layer = nn.Linear(8, 6, bias=False)
    packed = nn.Parameter(torch.zeros(24, 1, dtype=torch.uint8), requires_grad=False)
    packed.quant_state = type("State", (), {"shape": torch.Size((6, 8))})()
    layer.weight = packed
    tree = vf.read_tree(nn.ModuleDict({"llm": layer}))
    assert (tree.total_params, tree.total_bytes) == (48, 24)


@pytest.mark.check("B2")
def test_a_gptq_layer_counts_its_logical_weight_and_is_a_target_of_lora():
    class QuantLinear(nn.Module):
        def __init__(self):
            super().__init__()
            self.in_features, self.out_features = 64, 32
            self.register_buffer("qweight", torch.zeros(64 // 8, 32, dtype=torch.int32))
            self.register_buffer("qzeros", torch.zeros(1, 32 // 8, dtype=torch.int32))
            self.register_buffer("scales", torch.zeros(1, 32, dtype=torch.float16))
            self.register_buffer("table", torch.zeros(5))

    tree = vf.read_tree(nn.ModuleDict({"llm": QuantLinear()}))
    assert (tree.total_params, tree.dtype, tree.buffers) == (64 * 32, "int4", 5)
    assert tree.total_bytes == 64 * 32 // 2 + 4 * 4 + 32 * 2
    assert vf.resolve({"llm": "lora"}, tree).adapter_params == 16 * (64 + 32)


@pytest.mark.check("B2")
def test_a_quantized_weight_is_not_offered_for_full_training():
    layer = nn.Linear(8, 6, bias=False)
    layer.weight = nn.Parameter(layer.weight.detach().to(torch.float8_e4m3fn), requires_grad=False)
    plan = vf.resolve({"llm": "full"}, vf.read_tree(nn.ModuleDict({"llm": layer})))
    assert [w.code for w in plan.refusals] == ["quantized-full"]
    assert "LoRA" in plan.refusals[0].remedy


@pytest.mark.check("B6")
def test_a_compiled_model_is_trained_and_given_back_as_the_model_inside(monkeypatch):
    monkeypatch.delenv("TORCHDYNAMO_DISABLE")
    model = tiny_llava()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    compiled = torch.compile(model)
    result = vf.Burst(compiled, {"projector": "full"}, batches(), steps=2).run()
    assert len(result.history) == 2
    assert compiled._orig_mod is model
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_a_weight_of_8_bit_floats_counts_one_byte_each():
    layer = nn.Linear(8, 6, bias=False)
    layer.weight = nn.Parameter(layer.weight.to(torch.float8_e4m3fn), requires_grad=False)
    tree = vf.read_tree(layer)
    assert (tree.total_params, tree.total_bytes, tree.dtype) == (48, 48, "float8_e4m3fn")


def test_buffers_are_counted_apart():
    tree = vf.read_tree(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    assert (tree.total_params, tree.buffers, tree.buffer_bytes) == (10, 5, 2 * 2 * 4 + 8)


def test_layers_that_attend_to_the_picture_are_told_apart():
    tree = vf.read_tree("meta-llama/Llama-3.2-11B-Vision-Instruct")
    crossing = [n.path for n in tree.nodes if n.is_cross_attention]
    assert [int(p.rpartition(".")[2]) for p in crossing] == [3, 8, 13, 18, 23, 28, 33, 38]
    assert "cross-attention" in str(tree)
