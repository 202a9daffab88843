# Everything runs in .venv, which is made on first use. `make help` lists what there is.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON3 ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONFIG ?= config/proxyd.yml
ENVIRONMENT ?= development
ARGS ?=
JOBS ?= 0
# Where .ci/debian unpacks programs, and where Debian keeps servers that a plain user's PATH leaves out.
export PATH := $(PATH):/usr/sbin:$(CURDIR)/$(VENV)/debian/usr/sbin:$(CURDIR)/$(VENV)/debian/usr/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help run monitor test e2e compiled check format docs bench bench-node lock clean distclean debian node

help: ## show this
	@bold= normal=; if [ -t 1 ]; then bold=$$'\e[1m' normal=$$'\e[0m'; fi; \
	sed -n "s/^\([a-z0-9-]*\):.*## \(.*\)/$$bold make \1$$normal|\2/p" Makefile | column -t -s '|'

run: $(VENV)/.run ## start the gateway with config/proxyd.yml (CONFIG=FILE for another)
	@$(call with_env,exec $(BIN)/proxyd run -c $(CONFIG) $(ARGS))

monitor: debian ## watch it: Prometheus with config/prometheus.yml, on http://127.0.0.1:9090
	@command -v prometheus >/dev/null || { echo "Prometheus is missing: apt-get install prometheus" >&2; exit 1; }
	@exec prometheus --config.file=config/prometheus.yml --storage.tsdb.path=$(VENV)/prometheus \
	  --storage.tsdb.retention.time=40d --enable-feature=exemplar-storage --web.listen-address=127.0.0.1:9090 \
	  $(addprefix --web.local-assets=,$(wildcard $(VENV)/debian/usr/share/prometheus/web/)) $(ARGS)

supervise: $(VENV)/.dev ## run several instances under supervisord (ENVIRONMENT=production for the other)
	@PATH="$(CURDIR)/$(BIN):$$PATH" supervisor/ecosystem $(ENVIRONMENT) start

reload: $(VENV)/.dev ## have those take over what is new, without a request lost (ARGS=--rolling)
	@PATH="$(CURDIR)/$(BIN):$$PATH" supervisor/ecosystem $(ENVIRONMENT) reload $(ARGS)

test: $(VENV)/.dev debian node ## run every test (ARGS="-k router" for some, JOBS=2 for two processes)
	@$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

e2e: $(VENV)/.dev debian node $(if $(COMPILED),$(VENV)/.compiled) ## run the end-to-end tests (COMPILED=1 on the compiled build)
	@$(if $(COMPILED),PYTHONPATH=$(VENV)/compiled )$(BIN)/python -P -m pytest tests/e2e $(ARGS)

check: $(VENV)/.dev ## lint, types, and the shipped configurations
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(call with_env,for file in $(filter-out config/prometheus.yml,$(wildcard config/*.yml)); do $(BIN)/proxyd check -c $$file; done)

format: $(VENV)/.dev ## format the code, and fix what can be fixed
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(VENV)/.run ## write the reference of plugins in docs/plugins.md anew, out of their classes
	@$(BIN)/python -m proxyd.cli.reference docs/plugins.md

bench: $(VENV)/.compiled debian ## measure against other gateways (ARGS="--scenario plain")
	@$(BIN)/python benchmarks/bench.py $(ARGS)

# The peers out of npm: built again when one of their files changes.
BENCH_NODE := $(VENV)/node/bench
bench-node: $(BENCH_NODE)/.built ## install Fastify's proxy and a Next.js route handler, for make bench to measure beside
$(BENCH_NODE)/.built: $(shell find benchmarks/node -type f | sed 's/[][ ]/\\&/g') | $(BIN)/python
	@command -v npm >/dev/null || { echo "Node.js 20 or newer is missing, with npm" >&2; exit 1; }
	@echo "installing Fastify's proxy and Next.js (about 300 MB)"
	@mkdir -p $(BENCH_NODE); cp -r benchmarks/node/. $(BENCH_NODE)/
	@npm install --prefix $(BENCH_NODE) --no-audit --no-fund --no-package-lock --loglevel=error > $(VENV)/npm-bench.log 2>&1 && \
	  (cd $(BENCH_NODE) && NEXT_TELEMETRY_DISABLED=1 npx next build) >> $(VENV)/npm-bench.log 2>&1 || \
	  { tail -n 5 $(VENV)/npm-bench.log >&2; exit 1; }
	@touch $@

compiled: $(VENV)/.compiled ## compile the modules that requests pass through, into .venv/compiled

lock: ## write constraints.txt anew: the newest versions that pyproject.toml allows
	@lock=$$(mktemp -d); trap 'rm -rf "$$lock"' EXIT; \
	$(PYTHON3) -m venv "$$lock" && "$$lock/bin/pip" install -q -e '.[dev,bench,fuzz]'; \
	{ echo "# Every version of an installation that the tests have passed on. Made by: make lock"; \
	  "$$lock/bin/pip" freeze --all --exclude pip --exclude-editable; } > constraints.txt; \
	echo "constraints.txt: $$(grep -c == constraints.txt) packages"

clean: ## remove what tests and builds leave
	@rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov
	@find . -name $(VENV) -prune -o -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## the same, and the virtual environment
	@rm -rf $(VENV)

# Run a command with .env.example, then .env, then the environment itself: the last one wins.
define with_env
outside="$$(export -p)"; set -a; . ./.env.example; if [ -f .env ]; then . ./.env; fi; set +a; eval "$$outside"; $(1)
endef

# --- the virtual environment --------------------------------------------------------------------------------

$(BIN)/python:
	@command -v $(PYTHON3) >/dev/null || { echo "Python is missing: apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON3) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, this is $$($(PYTHON3) -V): make PYTHON3=python3.12 …" >&2; exit 1; }
	@$(PYTHON3) -c 'import ensurepip' 2>/dev/null || \
	  { echo "Python's venv module is missing: apt-get install python3-venv" >&2; exit 1; }
	@echo "making $(VENV)"
	@$(PYTHON3) -m venv $(VENV)

$(VENV)/.run: pyproject.toml constraints.txt | $(BIN)/python
	@$(call install,.)

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@$(call install,.[dev])
	@touch $(VENV)/.run

$(VENV)/.bench: pyproject.toml constraints.txt | $(BIN)/python
	@$(call install,.[bench])

# The compiled build stands beside the source, which stays what is imported: PYTHONPATH=.venv/compiled takes it.
$(VENV)/.compiled: setup.py $(shell find proxyd -name '*.py' -o -name '*.pyx') | $(VENV)/.bench
	@command -v $${CC:-cc} >/dev/null || { echo "a C compiler is missing: apt-get install build-essential python3-dev" >&2; exit 1; }
	@echo "compiling (a minute or two)"
	@rm -rf build $(VENV)/compiled
	@PROXYD_COMPILE=1 $(BIN)/pip install -q --no-deps --no-build-isolation --target $(VENV)/compiled . > $(VENV)/compile.log 2>&1 || \
	  { grep -m 5 "error" $(VENV)/compile.log >&2; exit 1; }
	@rm -rf build
	@touch $@

# Install once per change of versions. Without a network, an environment that already works goes on being used.
define install
echo "installing $(1)"; \
if $(BIN)/pip install -q --retries 1 -e '$(1)' -c constraints.txt > $(VENV)/install.log 2>&1; then touch $@; \
elif $(BIN)/python -c 'import proxyd.cli' 2>/dev/null; then \
  echo "could not install (see $(VENV)/install.log): going on with what is there" >&2; \
elif grep -qE "gcc|[Cc]ompiler|Python\.h" $(VENV)/install.log; then \
  echo "a package has no wheel for this machine: apt-get install build-essential python3-dev" >&2; exit 1; \
else \
  tail -n 3 $(VENV)/install.log >&2; exit 1; \
fi
endef

# PostgreSQL's package has the number that the release of Debian has; its server stands on what follows.
POSTGRESQL := $(shell . /etc/os-release 2>/dev/null; [ "$${VERSION_ID:-}" = 12 ] && echo 15 || echo 17)
POSTGRESQL := postgresql-$(POSTGRESQL)+libpq5+libxml2+libldap-2.5-0+libsasl2-2+libicu72+libgssapi-krb5-2

# Programs that some tests talk to. Where they cannot be had, those tests skip and say so.
debian: | $(BIN)/python
	@.ci/debian $(VENV)/debian curl nginx ngx_stream_module.so=libnginx-mod-stream promtool=prometheus \
	  postgres=$(POSTGRESQL) redis-server=redis-server+redis-tools+libatomic1+libjemalloc2+liblzf1 \
	  wrk=wrk+libluajit-5.1-2+libluajit-5.1-common || true

# The npm packages that tests need, each list in a directory of its own: fetched again when the list changes.
NODE := docs/examples/internal-key tests/data/dashboard tests/data/graphql tests/data/kubernetes
node: | $(BIN)/python
	@command -v npm >/dev/null || exit 0; for list in $(NODE); do \
	  into=$(VENV)/node/$$(basename $$list); cmp -s $$list/package.json $$into/package.json && continue; \
	  echo "installing the npm packages of $$list"; mkdir -p $$into; cp $$list/package.json $$into/; \
	  npm install --prefix $$into --no-audit --no-fund --no-package-lock --loglevel=error > $(VENV)/npm.log 2>&1 || \
	    { rm -f $$into/package.json; echo "not available here, tests that need them skip (see $(VENV)/npm.log)" >&2; }; \
	done
