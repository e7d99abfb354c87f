# make demo   installs what is needed and runs all stages on a sample of IMDb
# make test   installs what is needed and runs the tests (under 8 minutes on two cores)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test test-slow lint wheel clean
.DEFAULT_GOAL := demo

demo: $(INSTALLED)
	$(BIN)/python -m ulmfit --recipe demo

test: $(INSTALLED)
	$(BIN)/python -m pytest -m "not slow"

# What takes minutes each: all of IMDb token by token (with ULMFIT_DATA), the wheel on its own.
test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

wheel: $(INSTALLED)
	$(BIN)/python -m build --wheel

clean:
	rm -rf $(VENV) build dist *.egg-info

# fastai declares torchvision, which its text part never imports. Beside a CPU-only torch the
# registry's build of it cannot be imported and breaks others that try (transformers): it goes.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[demo,dev]'
	$(BIN)/python -c "import torchvision" 2>/dev/null || $(BIN)/pip uninstall --quiet --yes torchvision
	touch $@
