# Concord: `make demo` and `make test` set themselves up; nothing but Python 3.11 and make is needed.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
RUNS := $(VENV)/.concord-installed
STAMP := $(VENV)/.concord-tools
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM ?= false
# Where it is set, each of the many processes would compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE
CORPORA ?= ../shared/corpora

.PHONY: help demo test test-sites fuzz check format lint types contracts sizes setup clean \
        bench-quality bench-ablation bench-tokenizer bench-tokenizer-sealed bench-update bench-transport bench-throughput bench-gpu bench-log \
        bench-verify bench-replay bench-seal bench-personal-data bench-fuzz bench-hostile bench-policy \
        bench-scan bench-privacy bench-sealed-run bench-sealed-time bench-gguf bench-serve bench-aggregation bench-load \
        bench-observe bench-release test-pages test-eval bench-links bench-missing

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 20

setup: $(STAMP)  ## make the virtual environment

$(RUNS): requirements.lock pyproject.toml
	@echo "Setting up $(VENV) (once; about a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@# One platform's torch first: the lock pins it, and the rest then needs no other.
	@# Of 11,000 modules a demo loads 3,000: each is compiled when it is loaded, not all of them here.
	@$(PIP) install --no-compile $$(grep '^torch==' requirements.lock)
	@$(PIP) install --no-compile $$(grep '^setuptools==' requirements.lock)
	@$(PIP) install --no-compile -c requirements.lock --no-build-isolation -e '.[train,release]'
	@touch $@

$(STAMP): $(RUNS)
	@echo "Adding what the tests and the other commands need (once; about a minute)"
	@$(PIP) install -r requirements.lock
	@touch $@

demo: $(RUNS)  ## train a model of several nations' almanacs, compare, chat
	@$(BIN)/concord demo --folder demo --force

test: $(STAMP)  ## all tests, in random order, on two processes
	$(BIN)/pytest -n 2 --dist worksteal

test-pages: $(STAMP)  ## the public pages in a real browser (Debian: apt-get install chromium)
	$(BIN)/pytest -s -p no:xdist tests/browser/browser_pages.py tests/browser/browser_proof.py

test-sites: $(STAMP)  ## sites as real processes: intruders, jobs with code, kills, faults; half an hour
	$(BIN)/pytest tests_sites -p no:randomly -s -W ignore -o tmp_path_retention_policy=failed -o tmp_path_retention_count=1

test-eval: $(STAMP)  ## gates by lm-evaluation-harness and Inspect; installs them first, some minutes
	@$(BIN)/python -c 'import inspect_ai, lm_eval' 2>/dev/null || $(PIP) install -c requirements.lock --no-build-isolation -e '.[eval]'
	HF_HUB_OFFLINE=1 $(BIN)/pytest tests_eval -p no:randomly -W ignore

fuzz: $(STAMP)  ## ten thousand cases of each fuzz test
	CONCORD_FUZZ_CASES=10000 $(BIN)/pytest -n 2 tests/crypto/test_fuzz.py tests/ledger/test_statement_fuzz.py \
		tests/ledger/test_log_tampering.py tests/charter/test_constitution.py

check: format lint types contracts test  ## everything that must hold before a commit

format: $(STAMP)
	$(BIN)/ruff format --check .

lint: $(STAMP)
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

contracts: $(STAMP)
	$(BIN)/lint-imports --no-logo

sizes: $(STAMP)  ## lines per file and per function, longest first
	$(BIN)/python benchmarks/sizes.py

bench-quality: $(STAMP)  ## six members of the real corpora, three seeds; long
	$(BIN)/python benchmarks/quality.py --corpora $(CORPORA) --out docs/benchmarks

bench-ablation: $(STAMP)  ## what matters and by how much; long
	$(BIN)/python benchmarks/ablation.py --corpora $(CORPORA) --out docs/benchmarks

bench-tokenizer: $(STAMP)  ## 8,000 merges from 19 MB of six members
	$(BIN)/python benchmarks/tokenizer.py --corpora $(CORPORA)

bench-tokenizer-sealed: $(STAMP)  ## open, sealed and no counts for the tokenizer
	$(BIN)/python benchmarks/tokenizer_sealed.py --corpora $(CORPORA) --members iceland=isl_Latn \
	  brazil=por_Latn somalia=som_Latn nigeria=ibo_Latn paraguay=grn_Latn kenya=swh_Latn
	$(BIN)/python benchmarks/tokenizer_sealed.py --corpora $(CORPORA) --members ethiopia=amh_Ethi \
	  thailand=tha_Thai kerala=mal_Mlym brazil=por_Latn nigeria=ibo_Latn greece=ell_Grek

bench-update: $(STAMP)  ## codecs and merging: bytes and speed
	$(BIN)/python benchmarks/update_codecs.py

bench-aggregation: $(STAMP)  ## merging from files beside a plain FedAvg of NVIDIA FLARE; --large by hand
	$(BIN)/python benchmarks/aggregation.py
	$(BIN)/python benchmarks/aggregation.py --costs --parameters 16777216 --tensors 8 --members 4

bench-load: $(STAMP)  ## 8 to 64 members, tiny updates, the real protocol
	$(BIN)/python benchmarks/load.py

bench-missing: $(STAMP)  ## 30 % of members missing at random in each round
	$(BIN)/python benchmarks/missing.py --corpora $(CORPORA)

bench-throughput: $(STAMP)  ## local training beside a plain PyTorch loop
	$(BIN)/python benchmarks/throughput.py

bench-transport: $(STAMP)  ## a file to every member and back over FLARE, beside bare TLS
	$(BIN)/python benchmarks/transport.py

bench-log: $(STAMP)  ## signed statements appended, proofs checked, per second
	$(BIN)/python benchmarks/log_speed.py

bench-verify: $(STAMP)  ## a whole federation verified, step by step
	$(BIN)/python benchmarks/verify_folder.py

bench-replay: $(STAMP)  ## rounds computed again: parameters x members per second
	$(BIN)/python benchmarks/verify_speed.py

bench-seal: $(STAMP)  ## masking beside raw AES; FLOWER=<a python with flwr> compares with SecAgg+
	$(BIN)/python benchmarks/seal_exact.py
	$(BIN)/python benchmarks/seal_speed.py --markdown $(if $(FLOWER),--flower $(FLOWER))

bench-personal-data: $(STAMP)  ## the scan for personal data: found, missed, false alarms, speed
	$(BIN)/python benchmarks/personal_data.py --corpora $(CORPORA)

bench-fuzz: $(STAMP)  ## thirty thousand damaged payloads, frames and signed payloads
	$(BIN)/python benchmarks/fuzz_payloads.py

bench-policy: $(STAMP)  ## time of a decision; ten thousand random questions, none answered too wide
	$(BIN)/python benchmarks/policy.py

bench-hostile: $(STAMP)  ## attacks against merge rules on small networks; half an hour
	$(BIN)/python benchmarks/hostile.py

bench-scan: $(STAMP)  ## the trigger scan on a planted and an honest federation
	$(BIN)/python benchmarks/trigger_scan.py

bench-sealed-run: $(STAMP)  ## a sealed run beside an open one, per language; long
	$(BIN)/python benchmarks/sealed_run.py --corpora $(CORPORA)

bench-sealed-time: $(STAMP)  ## a sealed round beside an open one, eight members, 50 MB
	$(BIN)/python benchmarks/sealed_run_time.py

bench-observe: $(STAMP)  ## the public pages of a log of a thousand rounds
	$(BIN)/python benchmarks/observatory.py

bench-release: $(STAMP)  ## `concord release verify` of a release of 1 GB
	$(BIN)/python benchmarks/release_verify.py

bench-links: $(STAMP)  ## rounds over shaped links between network namespaces; needs root
	$(BIN)/python benchmarks/shaped_links.py

bench-gpu: $(STAMP)  ## eight members, 30 to 60 M parameters; needs a GPU
	$(BIN)/python benchmarks/quality.py --preset gpu --corpora $(CORPORA) --out docs/benchmarks

bench-privacy: $(STAMP)  ## what updates give away, what audits and noise cost
	$(BIN)/python benchmarks/privacy.py --corpora $(CORPORA)

LLAMA := llama-cpp-python==0.3.36
MODEL ?= demo/runs/demo/model
PARALLEL ?= demo/parallel
SPOKEN ?= am el ka sw ta th

bench-serve: $(STAMP)  ## time to the first token of the served demo model, after make demo
	$(BIN)/python benchmarks/first_token.py --model $(MODEL)

bench-gguf: $(STAMP)  ## GGUF files in llama.cpp itself, after make demo; compiles it first, 25 minutes
	@$(BIN)/python -c 'import llama_cpp' 2>/dev/null || $(PIP) install '$(LLAMA)'
	$(BIN)/python benchmarks/gguf_export.py numpy --model $(MODEL) --parallel $(PARALLEL) --languages '$(SPOKEN)'
	$(BIN)/python benchmarks/gguf_export.py logits --model $(MODEL) --parallel $(PARALLEL) --languages '$(SPOKEN)'
	$(BIN)/python benchmarks/gguf_export.py cuts --model $(MODEL) --parallel $(PARALLEL) --languages '$(SPOKEN)'

clean:  ## remove what make made
	rm -rf $(VENV) demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
