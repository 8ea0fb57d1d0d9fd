# make demo   a five-host cluster with wrong clocks becomes one with the right time (root, Debian 12)
# make test   every test; make lint   every check of form
.DEFAULT_GOAL := help
.PHONY: help demo lab-down test unit bench lint ready

VENV := .venv
PYTHON := $(VENV)/bin/python
# What the lab needs of Debian, by the program that shows whether it is there.
PROGRAMS := debootstrap:debootstrap iptables:iptables gcc:gcc ip:iproute2 setpriv:util-linux hwclock:util-linux-extra nsenter:util-linux

help:
	@sed -n 's/^# //p' Makefile

demo: ready
	@$(PYTHON) -m tests.lab.demo $(if $(KEEP),--keep)

lab-down: ready
	@$(PYTHON) -m tests.lab.down

test: ready
	$(PYTHON) -m pytest $(PYTEST)

unit: $(VENV)/ready
	$(PYTHON) -m pytest tests/unit $(PYTEST)

bench: ready
	@$(PYTHON) -m tests.bench

lint: $(VENV)/ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check tests
	$(VENV)/bin/yamllint -s salt pillar etc
	$(VENV)/bin/salt-lint $$(git ls-files 'salt/*.sls' 'pillar/*.sls')
	$(PYTHON) -m compileall -q _modules _states

ready: $(VENV)/ready
	@missing=; for pair in $(PROGRAMS); do \
	    PATH=$$PATH:/usr/sbin:/sbin command -v $${pair%%:*} >/dev/null || missing="$$missing $${pair#*:}"; done; \
	if [ -n "$$missing" ]; then \
	    [ "$$(id -u)" = 0 ] || { echo "Missing:$$missing. Run as root to have them installed."; exit 1; }; \
	    echo "Installing$$missing"; \
	    apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install $$missing >/dev/null; fi

$(VENV)/ready: requirements.txt constraints.txt
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { apt-get -qq update && apt-get -qq -y --no-install-recommends install python3-venv; }
	@echo "Making the Python environment $(VENV)"
	@python3 -m venv $(VENV) && $(VENV)/bin/pip install -q --disable-pip-version-check -r requirements.txt
	@touch $@
