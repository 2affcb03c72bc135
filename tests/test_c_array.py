"""The C door: what a compiler makes of header and source is the file, to the byte."""

import ctypes
import dataclasses
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from audio_edge import c_array
from audio_edge.card import attach, read_model, split
from audio_edge.errors import UserError
from audio_edge.interpreter import load
from audio_edge.stream_batch import StreamBatch

ANDROID = Path(__file__).parent / "android"

GCC = shutil.which("gcc")
needs_gcc = pytest.mark.skipif(GCC is None, reason="gcc is not installed")
LABELS = ("silence", 'say "hi"', "Tür??/auf\\")  # quotes, a trigraph, UTF-8 before a hex digit


@pytest.fixture
def written(tone_model, tone_card, tmp_path):
    """A float file of three labels that C finds hard, as header and source."""
    path = tmp_path / "1-model int8.tflite"
    path.write_bytes(attach(tone_model, dataclasses.replace(tone_card, labels=LABELS)))
    return path, *c_array.write(path)


def compiled(folder, *arguments):
    command = [GCC, "-Wall", "-Wextra", "-Werror", "-pedantic", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=120)
    assert done.returncode == 0, done.stderr


def constants(header):
    """Whole numbers that a header defines, by their names behind that of the file."""
    rows = [line.split()[1:3] for line in header.read_text().splitlines() if "/*" in line]
    prefix = f"{header.stem.upper()}_"
    return {
        row[0].removeprefix(prefix): int(row[1])
        for row in rows
        if len(row) == 2 and row[0].startswith(prefix) and row[1].lstrip("-").isdigit()
    }


@needs_gcc
@pytest.mark.parametrize("standard", ["c99", "c++11"])
def test_bytes_of_the_compiled_object_equal_the_file(written, tmp_path, standard):
    path, _, source = written
    language = "c++" if standard == "c++11" else "c"
    if language == "c++" and shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    made = tmp_path / f"model_{language}.so"
    compiled(tmp_path, f"-std={standard}", "-x", language, "-shared", "-fPIC", source, "-o", made)
    library = ctypes.CDLL(str(made))
    length = ctypes.c_size_t.in_dll(library, "model_1_model_int8_len").value
    data = (ctypes.c_ubyte * length).in_dll(library, "model_1_model_int8_data")
    assert bytes(data) == path.read_bytes()
    assert ctypes.addressof(data) % c_array.ALIGNMENT == 0
    labels = (ctypes.c_char_p * len(LABELS)).in_dll(library, "model_1_model_int8_labels")
    assert tuple(label.decode() for label in labels) == LABELS


@needs_gcc
def test_constants_are_those_of_the_card(written, tmp_path):
    _, header, _ = written
    names = ["SAMPLE_RATE", "CLIP_SAMPLES", "LABELS", "MULTI_LABEL", "INPUT_FLOAT32",
             "INPUT_SCALE", "OUTPUT_ZERO_POINT", "HOP_SAMPLES", "WINDOW_SAMPLES",
             "REFRACTORY_SAMPLES", "THRESHOLD"]  # fmt: skip
    prints = "".join(f'  printf("%g\\n", (double)MODEL_1_MODEL_INT8_{name});\n' for name in names)
    program = f'#include <stdio.h>\n#include "{header.name}"\nint main(void) {{\n{prints}}}\n'
    (tmp_path / "main.c").write_text(program)
    compiled(tmp_path, "-std=c99", "main.c", "-o", "main")
    said = subprocess.run([tmp_path / "main"], capture_output=True, text=True, timeout=60)
    expected = "16000 1600 3 0 1 1 0 400 800 1600 0.7"  # 0.025, 0.05 and 0.1 s at 16 kHz
    assert said.stdout.split() == expected.split()


def test_quantisation_of_an_int8_model_is_in_the_header(int8_model, tone_card, tmp_path):
    from audio_edge.interpreter import load

    path = tmp_path / "means.tflite"
    path.write_bytes(attach(int8_model, dataclasses.replace(tone_card, labels=("a", "b"))))
    text = c_array.write(path)[0].read_text()
    runner = load(int8_model, "tensorflow", 1)
    ends = {"INPUT": runner.get_input_details(), "OUTPUT": runner.get_output_details()}
    rows = [line.split()[1:3] for line in text.splitlines() if line.startswith("#define MEANS_")]
    found = dict(row for row in rows if len(row) == 2)
    for end, details in ends.items():
        scale, zero_point = details[0]["quantization"]
        assert found[f"MEANS_{end}_INT8"] == "1"
        assert float(found[f"MEANS_{end}_SCALE"].rstrip("f")) == pytest.approx(scale, rel=1e-6)
        assert int(found[f"MEANS_{end}_ZERO_POINT"]) == zero_point


def test_file_without_a_card_is_refused(tone_model, tmp_path):
    path = tmp_path / "foreign.tflite"
    path.write_bytes(tone_model)
    with pytest.raises(UserError, match=r"foreign\.tflite: carries no model card"):
        c_array.write(path)
    assert [item.name for item in tmp_path.iterdir()] == ["foreign.tflite"]


@pytest.mark.parametrize(
    ("text", "name"), [("model_int8", "model_int8"), ("7 Words!", "model_7_words"), ("é", "model")]
)
def test_names_are_those_of_c(text, name):
    assert c_array.identifier(text) == name


@needs_gcc
@pytest.mark.parametrize("kind", ["float", "int8"])
def test_c_can_run_a_stream_by_what_the_header_says(kind, tmp_path):
    path = tmp_path / "heard.tflite"
    path.write_bytes((ANDROID / f"model_{kind}_streaming.tflite").read_bytes())
    _, source = c_array.write(path)
    compiled(tmp_path, "-std=c99", "-shared", "-fPIC", source, "-o", "heard.so")
    stream = StreamBatch(path)
    values = constants(tmp_path / "heard.h")
    pairs = ((ctypes.c_int * 2) * values["STATES"]).in_dll(
        ctypes.CDLL(str(tmp_path / "heard.so")), "heard_states"
    )
    audio = np.random.default_rng(0).normal(0, 0.1, (4, values["PACKET_SAMPLES"]))
    runner = load(split(read_model(path), source=path)[0], stream.runtime, 1)
    inputs, outputs = runner.get_input_details(), runner.get_output_details()
    states = [np.zeros(inputs[into]["shape"], inputs[into]["dtype"]) for into, _ in pairs]
    silence = np.zeros((values["SILENCE_PACKETS"], values["PACKET_SAMPLES"]))
    for packet in np.concatenate([silence, audio]).astype(np.float32):
        runner.set_tensor(inputs[values["PACKET_INPUT"]]["index"], packet[None])
        for (into, _), state in zip(pairs, states, strict=True):
            runner.set_tensor(inputs[into]["index"], state)
        runner.invoke()
        states = [runner.get_tensor(outputs[out]["index"]) for _, out in pairs]
    said = runner.get_tensor(outputs[values["PROBS_OUTPUT"]]["index"])
    for packet in audio.astype(np.float32):
        expected = stream.push(packet[None])
    np.testing.assert_array_equal(said, expected)
    assert values["CLIP_SAMPLES"] == stream.clip_samples


def test_stream_whose_card_names_a_state_that_is_not_there_is_refused(tmp_path):
    content = (ANDROID / "model_int8_streaming.tflite").read_bytes()
    flatbuffer, card = split(content, source="stream")
    states = [*card.streaming["states"], "nobody"]
    path = tmp_path / "heard.tflite"
    other = dataclasses.replace(card, streaming={**card.streaming, "states": states})
    path.write_bytes(attach(flatbuffer, other))
    with pytest.raises(UserError, match="the card names 'state_nobody', which the model has not"):
        c_array.write(path)
    assert [item.name for item in tmp_path.iterdir()] == ["heard.tflite"]
