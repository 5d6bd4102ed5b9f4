# Two commands: `make demo` sets up and trains on the digits that come with the package; `make test` sets up and tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
READY := $(VENV)/.ready
PARITY := .venv-parity
SCHEMATHESIS := .venv-openapi
FUZZ_ARGS ?=
PARITY_ARGS ?= --write docs/PARITY.md
BENCH_ARGS ?=
OPENAPI_ARGS ?=
FAULTS_ARGS ?= --write docs/RELIABILITY.md
MUTATIONS_ARGS ?= --write docs/MUTATIONS.md

.PHONY: audit sbom demo test check wheels fuzz mutations parity faults load openapi bench-peers bench-input bench-accuracy clean help

help:
	@echo "make demo    set up, train an AlexNet on handwritten digits, say where its report is"
	@echo "make test    set up, run the tests"
	@echo "make check   set up, check format, lint and types"
	@echo "make fuzz    10,000 damaged files for each reader, within limits of time and memory (hours)"
	@echo "make mutations   change one expression of the source at a time; a test must fail each time (ten minutes)"
	@echo "make parity  set up its own environment, compare with Keras, TensorFlow, OpenCV and ONNX"
	@echo "make bench-peers   time training side by side with Keras and plain PyTorch (15 minutes)"
	@echo "make bench-input   time decoding side by side with tf.data (a minute)"
	@echo "make bench-accuracy   time to the published programs' accuracy, Keras and ours (half an hour)"
	@echo "make faults  kill, starve and disturb trainings, and resume them (half an hour)"
	@echo "make wheels  build the wheel, install it into new environments (Python 3.11 to 3.13), train there (minutes)"
	@echo "make audit   known vulnerabilities of what is installed, and its licenses"
	@echo "make sbom    the software bill of materials: sbom.json (CycloneDX)"
	@echo "make load    the server under load (three minutes)"
	@echo "make openapi   schemathesis asks the server all that its OpenAPI description allows and forbids (ten minutes)"
	@echo "make clean   remove the environments"

demo: $(INSTALLED)
	@$(BIN)/alexnet train
	@echo
	@echo "Open the report in a browser. Then try (after '. $(BIN)/activate', or with $(BIN)/ in front):"
	@echo "  alexnet models                             every published AlexNet"
	@echo "  alexnet summary alexnet-cifar10            layers, parameters, FLOPs"
	@echo "  alexnet evaluate runs/digits               measure the model again"
	@echo "  alexnet train folder --data MY_IMAGES    your own images, one folder per class"

# One process per core, a file in one of them (some files follow a page command by command); PYTEST_ARGS=-n0: one process.
PYTEST_ARGS ?= -n auto --dist loadfile --max-worker-restart 0
test: $(READY)
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

# Large buffers are kept, not given back after every layer: it saves two minutes of the system's time.
parity: $(PARITY)/.ready
	@MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=68719476736 $(PARITY)/bin/python -m pytest parity tests/test_ecosystem.py $(PARITY_ARGS)

fuzz: $(READY)
	@$(BIN)/python -m fuzz.run $(FUZZ_ARGS)

# MUTATIONS_ARGS='--only muon' tries those of one file.
mutations: $(READY)
	@$(BIN)/python tests/mutations.py $(MUTATIONS_ARGS)

# WHEELS_ARGS='--python 3.12' tries one version.
wheels: $(READY)
	@$(BIN)/python tests/wheels.py $(WHEELS_ARGS)

# 2: no database could be reached; 3: there are known vulnerabilities.
audit: $(READY)
	@$(BIN)/python -m audit licenses
	@$(BIN)/python -m audit vulnerabilities

sbom: $(READY)
	@$(BIN)/python -m audit sbom sbom.json

check: $(READY)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright

# $(call environment,FOLDER,WHAT PIP INSTALLS): says plainly what is missing when it is. Modules are compiled when they are
# first imported: most of torch never is.
define environment
	@command -v $(PYTHON) >/dev/null || { echo "alexnet needs Python 3.11 or newer, and there is no '$(PYTHON)' here; install it, or name it: make PYTHON=/path/to/python3" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "alexnet needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) -V); name a newer one: make PYTHON=/path/to/python3" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "'$(PYTHON)' cannot make environments; install its venv module (Debian: python3-venv)" >&2; exit 2; }
	@echo "setting up $(1) (a few minutes the first time) …"
	@$(PYTHON) -m venv $(1)
	@$(1)/bin/python -m pip install -q --no-compile --disable-pip-version-check $(2) || { echo "the packages could not be installed; pip's lines above say why (is there a network, and a package registry?)" >&2; exit 2; }
endef

# What a user installs, for the demo; and with it what tests and checks need.
$(INSTALLED): pyproject.toml constraints.txt
	$(call environment,$(VENV),-c constraints.txt -e .)
	@touch $@

$(READY): $(INSTALLED)
	$(call environment,$(VENV),-c constraints.txt -e '.[dev]')
	@touch $@

$(PARITY)/.ready: pyproject.toml parity/constraints.txt
	$(call environment,$(PARITY),-r parity/constraints.txt)
	@$(PARITY)/bin/python -m pip install -q --disable-pip-version-check --no-deps -e . imagecorruptions-imaug==1.1.5
	@touch $@

# A training killed, starved, stopped and disturbed; half an hour with 100 kills.
faults: $(READY)
	@$(BIN)/python tests/faults.py $(FAULTS_ARGS)

# The demo's model behind the server, 64 clients for a minute, then batches against one image at a time.
load: $(READY)
	@test -f runs/digits/best.safetensors || $(BIN)/alexnet train
	@$(BIN)/python -c "from PIL import Image; Image.new('L', (8, 8), 90).save('runs/load.png')"
	@$(BIN)/alexnet load runs/digits --image runs/load.png
	@$(BIN)/alexnet load runs/digits --image runs/load.png --requests 10000
	@$(BIN)/alexnet load runs/digits --image runs/load.png --clients 32 --seconds 10 --rounds 3

# Its pytest plugin would disturb the tests: an environment of its own.
$(SCHEMATHESIS)/.ready:
	$(call environment,$(SCHEMATHESIS),schemathesis==4.32.5)
	@touch $@

openapi: $(READY) $(SCHEMATHESIS)/.ready
	@$(BIN)/python tests/openapi.py $(SCHEMATHESIS)/bin/schemathesis $(OPENAPI_ARGS)

# Side by side with Keras, in turn: nothing else should run on the machine.
bench-peers: $(READY) $(PARITY)/.ready
	@$(BIN)/alexnet bench --peer torch,keras --peer-python $(PARITY)/bin/python $(BENCH_ARGS)

# From a cold start to the accuracy that the published Keras programs reach.
bench-accuracy: $(READY) $(PARITY)/.ready
	@$(BIN)/python -m alexnet.benchmark.scripts.time_to_accuracy --peer-python $(PARITY)/bin/python $(BENCH_ARGS)

bench-input: $(PARITY)/.ready
	@$(PARITY)/bin/python -m alexnet.benchmark.scripts.input

clean:
	rm -rf $(VENV) $(PARITY) $(SCHEMATHESIS)
