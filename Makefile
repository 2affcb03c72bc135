# Every target sets up what it needs by itself, in .venv.
VENV := .venv
BIN := $(VENV)/bin
# The first python on the path that is 3.11, 3.10 or 3.12; PYTHON=... names another.
PYTHON ?= $(shell for p in python3.11 python3 python3.10 python3.12; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' >/dev/null 2>&1 && command -v $$p && break; done)
DEMO := runs/demo

# The runtime of Android needs a Python of its own. Where it is there, the tests ask it too.
ANDROID := $(VENV)/tensorflow-lite-2.16.1
ASKED = $(if $(wildcard $(ANDROID)/.ready),AUDIO_EDGE_TENSORFLOW_LITE_2_16_1=$(abspath $(ANDROID))/bin/python)

# The app: its build, the jar that holds R8, and the models inside, which are those of the tests until
# android-models has brought others.
APK := android_demo/audio_edge.apk
R8 := $(VENV)/bundletool.jar
R8_SHA256 := 2d4ad908faea64047c1cc9cb747e6aa667c6ab192e09607bd16b67246a8cd6ae
ASSETS := android_demo/app/src/main/assets
MODELS = $(if $(wildcard $(ASSETS)/*.tflite),$(ASSETS),tests/android)
CONFIG := training/configs/kws7_stream.toml
RUN := runs/kws7_stream
STREAMING := --streaming

.PHONY: setup android-runtime android android-models demo test check pi clean

setup: $(VENV)/.ready

$(VENV)/.ready: setup.cfg constraints.txt
	@test -n "$(PYTHON)" || { echo "error: Python 3.10, 3.11 or 3.12 is needed, and $$(python3 --version 2>&1 || echo no python3) was found; \
	bring one with 'apt-get install python3.11 python3.11-venv' or 'pyenv install 3.11', or name it: make PYTHON=/path/to/python3.11 setup"; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "error: $(PYTHON) cannot make virtual environments; run 'apt-get install python3-venv' first"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train,onnx,synthetic,mic,review,serve,ray,bench,dev]'
	@touch $@

android-runtime: $(ANDROID)/.ready

$(ANDROID)/.ready: | $(VENV)/.ready
	$(PYTHON) -m venv $(ANDROID)
	$(ANDROID)/bin/python -m pip install --quiet tensorflow-cpu==2.16.1
	@touch $@

# Train on synthetic speech, compress, benchmark, and listen to a recording that training never heard.
demo: setup
	$(BIN)/python -m training.run training/configs/demo.toml --streaming --set run.dir=$(DEMO)
	$(BIN)/python -m training.say training/configs/demo.toml --out $(DEMO)/recording.wav --count 12 --force
	$(BIN)/python -m audio_edge.listen $(DEMO)/tflite/model_int8.tflite $(DEMO)/recording.wav \
		--truth $(DEMO)/recording.txt --plot $(DEMO)/recording.png --force

test: setup
	$(ASKED) $(BIN)/python -m pytest --numprocesses 2 --dist loadgroup --max-worker-restart 0

# Build and test the app, and make the signed APK; needs a JDK 17, Maven, and aapt, apksigner, dexdump, zip, zipalign.
android: setup $(R8)
	@$(BIN)/python -m tests.apk $(MODELS)
	mvn --batch-mode --no-transfer-progress --file android_demo/pom.xml verify
	android_demo/apk.sh $(R8) $(MODELS) $(APK)
	$(BIN)/python -m tests.apk $(APK)

# R8 comes inside another tool, which comes inside a package of Python; neither is installed.
$(R8): | $(VENV)/.ready
	$(BIN)/python -m pip download --quiet --no-deps --dest $(VENV)/download mobsf==4.4.0
	unzip -p $(VENV)/download/mobsf-4.4.0-*.whl mobsf/StaticAnalyzer/tools/bundletool-all-1.17.2.jar > $@.part
	echo "$(R8_SHA256)  $@.part" | sha256sum --check --quiet
	mv $@.part $@
	rm -r $(VENV)/download

# Train what CONFIG says in the folder RUN, or go on where it stands, and put its float and int8 files into the app.
# STREAMING= leaves out the files of streams, of a network that cannot.
android-models: setup
	$(BIN)/python -m training.run $(CONFIG) $(STREAMING) --set run.dir=$(RUN)
	for kind in float int8 $(if $(STREAMING),float_streaming int8_streaming); do \
		cp $(RUN)/tflite/model_$$kind.tflite $(ASSETS)/$(notdir $(RUN))_$$kind.tflite || exit; done

# The plain install on emulated Raspberry Pis, 64 and 32 bits; as root, with mmdebstrap and qemu-user-static.
pi: setup
	$(BIN)/python -m tests.emulated

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) .cache runs build *.egg-info $(APK) android_demo/*/target
