# make demo   installs what is needed and runs all stages on a sample of IMDb, from general text
# make demo-films   the same from the bundled language model of film reviews
# make test   installs what is needed and runs the tests (under 8 minutes on two cores)

PYTHON ?= python3
# What `--precision auto` means in tests and torture: auto (by hardware), float32 or bfloat16.
PRECISION ?= $(or $(ULMFIT_PRECISION),auto)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PARALLEL := -n auto --dist loadfile --no-loadscope-reorder

.PHONY: demo demo-films test test-precision test-slow torture rehearsal bench bench-memory lint docs notebooks wheel clean
.DEFAULT_GOAL := demo

demo: $(INSTALLED)
	$(BIN)/python -m ulmfit --recipe general --out models/demo

demo-films: $(INSTALLED)
	$(BIN)/python -m ulmfit --recipe films --out models/films

test: $(INSTALLED)
	$(BIN)/python -m pytest -m "not slow" --precision $(PRECISION) $(PARALLEL)

# The tests that train or use a model, in the number format that `auto` is not on this processor.
test-precision: $(INSTALLED)
	$(BIN)/python -m pytest -m "computes and not slow" --precision other $(PARALLEL)

# What takes minutes each: all of IMDb token by token (with ULMFIT_DATA), the wheel, Ray, restarts.
test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow

# Everything that docs/trust.md promises, put to the test; under 20 minutes on two cores.
torture: $(INSTALLED)
	ULMFIT_PRECISION=$(PRECISION) $(BIN)/python -m torture

# The long run of docs/base.md in small: size base, some 50 steps a stage, minutes on two quiet cores.
rehearsal: $(INSTALLED)
	$(BIN)/python -m benchmarks.rehearsal

# Peer and project side by side, 40 minutes on two cores; run nothing beside it.
bench: $(INSTALLED)
	$(BIN)/python -m benchmarks

# A million documents, in a quarter of an hour or more.
bench-memory: $(INSTALLED)
	$(BIN)/python -m benchmarks.memory

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The docs as a site in site/; a link that leads nowhere is an error.
docs: $(INSTALLED)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# notebooks/*.py run, and written as .ipynb with their outputs; the Spanish one needs ULMFIT_DATA.
notebooks: $(INSTALLED)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[notebooks]'
	$(BIN)/python notebooks/build.py

# In dist/: the package, and the bundled models as packages of their own (each file under 100 MB).
wheel: $(INSTALLED)
	rm -rf build
	for project in . packages/*; do $(BIN)/python -m build --wheel --outdir dist $$project || exit; done

clean:
	rm -rf $(VENV) build dist site *.egg-info

# torch's build for CPUs. For CUDA: make TORCH_INDEX=https://download.pytorch.org/whl/cu130, for
# example; docs/install.md says more.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
PIP := $(BIN)/pip --disable-pip-version-check
PIP_INSTALL := $(PIP) install --quiet --constraint constraints.txt

# fastai declares torchvision, which its text part never imports. Beside a CPU-only torch the
# registry's build of it cannot be imported and breaks others that try (transformers): it goes.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) --upgrade pip  # an old one knows no dependency groups
	$(PIP_INSTALL) --no-deps --retries 1 --index-url $(TORCH_INDEX) torch \
		|| echo "no torch from $(TORCH_INDEX); the default registry's follows, for CUDA on Linux"
	$(PIP_INSTALL) --group dev --editable '.[demo,export,hub]'
	$(BIN)/python -c "import torchvision" 2>/dev/null || $(PIP) uninstall --quiet --yes torchvision
	touch $@
