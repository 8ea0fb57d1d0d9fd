# make demo       builds a cluster of five hosts with wrong clocks and gives it the right time (root, Debian 12)
# make test       unit, functional and lab tests; make unit: the unit tests only; make lint: linters
# make drills     injects faults into running clusters; make drills-chrony: on hosts with chrony
# make operating  rollout, view, alerts and ten quiet minutes, on whole clusters
# make e2e        virtual machines with real kernel clocks, reboots and power cuts; make smoke: one apply on two of them
# make digest     updates the list by which minions detect outdated code: run it after changes in _modules, _states, _beacons
# make bench      benchmarks
.DEFAULT_GOAL := help
.PHONY: help digest demo lab-down test drills drills-chrony operating e2e smoke qemu unit bench lint ready

VENV := .venv
PYTHON := $(VENV)/bin/python
# `su` without `-` leaves root without the directories of root's programs in PATH.
export PATH := $(PATH):/usr/sbin:/sbin
# Debian packages that the lab needs, each after the program that shows whether it is installed.
PROGRAMS := mmdebstrap:mmdebstrap iptables:iptables nft:nftables gcc:gcc ip:iproute2 setpriv:util-linux hwclock:util-linux-extra nsenter:util-linux chattr:e2fsprogs chromium:chromium

help:
	@sed -n 's/^# make /make /p' Makefile

demo: ready
	@$(PYTHON) -m tests.lab.demo $(if $(KEEP),--keep)

lab-down: ready
	@$(PYTHON) -m tests.lab.down

# Runs several files in parallel, each in order on its own lab: hosts spend most of the time waiting for each other.
SIDE_BY_SIDE := --dist loadfile --no-loadscope-reorder

test: ready
	$(PYTHON) -m pytest -n 4 $(SIDE_BY_SIDE) $(foreach apart,drills operating,--ignore-glob='*/test_$(apart)_*') \
	    tests/unit tests/functional tests/lab $(PYTEST)

CHRONY_DRILLS := $(wildcard tests/lab/test_drills_*_chrony.py)
drills: ready
	$(PYTHON) -m pytest -n 4 $(SIDE_BY_SIDE) $(filter-out $(CHRONY_DRILLS),$(wildcard tests/lab/test_drills_*.py)) $(PYTEST)

drills-chrony: ready
	$(PYTHON) -m pytest -n 4 $(SIDE_BY_SIDE) $(CHRONY_DRILLS) $(PYTEST)

operating: ready
	$(PYTHON) -m pytest -n 3 $(SIDE_BY_SIDE) tests/lab/test_operating_*.py $(PYTEST)

e2e: ready qemu
	E2E=1 $(PYTHON) -m pytest tests/e2e $(PYTEST)

# The smallest part of e2e, for every change; reports if virtual machines are not available.
smoke: ready
	-@$(MAKE) -s qemu
	$(PYTHON) -m pytest tests/e2e $(PYTEST)

qemu:
	@command -v qemu-system-x86_64 >/dev/null && command -v qemu-img >/dev/null || { echo "Installing qemu-system-x86 qemu-utils"; \
	    apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install qemu-system-x86 qemu-utils >/dev/null; }

unit: $(VENV)/ready
	$(PYTHON) -m pytest tests/unit $(PYTEST)

bench: ready
	@$(PYTHON) -m tests.bench

digest:
	cd salt && LC_ALL=C sha256sum $(foreach kind,beacons modules states,_$(kind)/ntpcluster*.py) > ntp/modules.sha256

lint: $(VENV)/ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/yamllint -s salt pillar etc FORMULA pillar.example
	$(VENV)/bin/salt-lint $$(git ls-files 'salt/*.sls' 'pillar/*.sls')
	$(VENV)/bin/djlint --lint --quiet salt/ntp/report
	$(VENV)/bin/biome ci --error-on-warnings salt/ntp/report
	$(PYTHON) -m compileall -q _modules _states

ready: $(VENV)/ready
	@missing=; for pair in $(PROGRAMS); do \
	    command -v $${pair%%:*} >/dev/null || missing="$$missing $${pair#*:}"; done; \
	if [ -n "$$missing" ]; then \
	    [ "$$(id -u)" = 0 ] || { echo "Missing:$$missing. Run as root to have them installed."; exit 1; }; \
	    echo "Installing$$missing"; \
	    apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install $$missing >/dev/null; fi

$(VENV)/ready: requirements.txt constraints.txt
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { apt-get -qq update && apt-get -qq -y --no-install-recommends install python3-venv; }
	@echo "Making the Python environment $(VENV)"
	@python3 -m venv $(VENV) && $(VENV)/bin/pip install -q --disable-pip-version-check -r requirements.txt
	@touch $@
