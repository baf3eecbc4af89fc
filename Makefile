# What there is to run. `make` alone lists it.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run test check bench crash barrier campaign-door campaign-targets campaign-api sim fuzz crosscheck tools image

CARGO ?= cargo
# The tests run with planted bugs built in; they do nothing unless HOOKGATE_FAULT names one.
FEATURES := --features faults
KILLS ?= 50
SEEDS ?= 1000000
EVENTS ?= 10000
# Deliveries that wait for a dead target while others are well.
WAITING ?= 2000000
# Dead letters of one target that are replayed while the gateway is killed.
REPLAYED ?= 100000
# Hostile clients: slow ones at once, large bodies, requests that nobody proved, handshakes that are none.
SLOW ?= 5000
BODIES ?= 10000
FLOOD ?= 1000000
HANDSHAKES ?= 10000
# How long each parser is fuzzed, and which (with blanks); all when none is named.
SECONDS ?= 60
TARGET ?=
# What the vendors' own libraries are asked about: so many requests each, of these providers (with commas), or of all.
ROUNDS ?= 25
ONLY ?=
# Questions that are made from the admin API's own OpenAPI document.
CASES ?= 2000
HOOKGATE_BIN ?= target/release/hookgate
CROSSCHECK := target/crosscheck
CAMPAIGN_API := target/campaign-api

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## build, start a gateway with an echo target, ring it with signed events, and show them arrive
	$(CARGO) run --release --locked -- demo

test: tools ## everything CI runs: format, lints, house rules, unit tests, the binary over sockets, the simulator
	@.ci/steps

check: ## the quick ones: format, lints, house rules
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets $(FEATURES) -- -D warnings
	$(CARGO) test --locked $(FEATURES) --test tidy

bench: ## accept and end-to-end paths beside a bare handler, the store, and each signature scheme, in one run (benches/README.md)
	$(CARGO) bench --locked

crash: tools ## kill -9 under full load on the release build, KILLS=50 times, then a start with a million deliveries waiting
	$(CARGO) build --release --locked
	HOOKGATE_TEST_BIN="$(CURDIR)/target/release/hookgate" CRASH_KILLS=$(KILLS) WAITING=1000000 \
	  $(CARGO) test --locked $(FEATURES) --test suite -- --nocapture --test-threads 1 crash:: waiting::

barrier: tools ## strace audit: EVENTS=10000 acknowledgements, each after the fdatasync that holds its event
	BARRIER_EVENTS=$(EVENTS) $(CARGO) test --locked $(FEATURES) --test suite -- --nocapture --test-threads 1 barrier::

campaign-door: tools ## hostile clients on the release build: SLOW=5000 slow ones at once, BODIES=10000, FLOOD=1000000, HANDSHAKES=10000
	$(CARGO) build --release --locked
	HOOKGATE_TEST_BIN="$(CURDIR)/target/release/hookgate" SLOW_CONNECTIONS=$(SLOW) SLOW_SECONDS=60 \
	  BODIES=$(BODIES) BODIES_IN_FLIGHT_MIB=256 FLOOD=$(FLOOD) HANDSHAKES=$(HANDSHAKES) \
	  $(CARGO) test --locked $(FEATURES) --test suite -- --nocapture --test-threads 1 hostile:: conformance::

campaign-targets: tools ## release build: sick targets beside well ones with WAITING=2000000, order by key and a replay of REPLAYED=100000 over kills
	$(CARGO) build --release --locked
	HOOKGATE_TEST_BIN="$(CURDIR)/target/release/hookgate" ISOLATION_WAITING=$(WAITING) ISOLATION_RATE=100 ISOLATION_SECONDS=20 \
	  ISOLATION_ROUNDS=3 ORDER_KEYS=100 ORDER_EACH=100 ORDER_KILLS=10 REPLAY_EVENTS=$(REPLAYED) REPLAY_KILLS=5 \
	  $(CARGO) test --locked $(FEATURES) --test suite -- --nocapture --test-threads 1 isolation:: order::each_key api::interrupted::

campaign-api: ## schemathesis asks the admin API of HOOKGATE_BIN CASES=2000 questions made from its OpenAPI document (python3)
	@test -x "$(HOOKGATE_BIN)" || \
	  { echo "$(HOOKGATE_BIN): there is no binary here; cargo build --release, or name one with HOOKGATE_BIN" >&2; exit 1; }
	test -x $(CAMPAIGN_API)/venv/bin/python || python3 -m venv $(CAMPAIGN_API)/venv
	$(CAMPAIGN_API)/venv/bin/python -m pip install --quiet --disable-pip-version-check -r tests/campaign-api/requirements.txt
	$(CAMPAIGN_API)/venv/bin/python tests/campaign-api/campaign.py --bin "$(HOOKGATE_BIN)" --cases $(CASES)

sim: ## the simulator, SEEDS=1000000 seeds; a failing one prints itself
	SIM_SEEDS=$(SEEDS) $(CARGO) test --release --locked --test sim -- --nocapture

fuzz: ## every parser of outside bytes, SECONDS=60 each, guided by coverage (TARGET=request for one of fuzz/seeds)
	FUZZ_SECONDS="$(SECONDS)" FUZZ_TARGETS="$(TARGET)" fuzz/run

crosscheck: ## the vendors' own libraries sign ROUNDS=25 requests each and HOOKGATE_BIN verifies (node, npm, python3; ONLY=stripe,slack)
	@test -x "$(HOOKGATE_BIN)" || \
	  { echo "$(HOOKGATE_BIN): there is no binary here; cargo build --release, or name one with HOOKGATE_BIN" >&2; exit 1; }
	mkdir -p $(CROSSCHECK)
	rm -rf $(CROSSCHECK)/requests
	cp tests/crosscheck/package.json tests/crosscheck/*.mjs $(CROSSCHECK)/
	cd $(CROSSCHECK) && npm install --no-package-lock --no-audit --no-fund --ignore-scripts
	test -x $(CROSSCHECK)/venv/bin/python || python3 -m venv $(CROSSCHECK)/venv
	$(CROSSCHECK)/venv/bin/python -m pip install --quiet --disable-pip-version-check -r tests/crosscheck/requirements.txt
	node $(CROSSCHECK)/sign.mjs $(CROSSCHECK)/requests $(ROUNDS) $(ONLY)
	$(CROSSCHECK)/venv/bin/python tests/crosscheck/sign.py $(CROSSCHECK)/requests $(ROUNDS) $(ONLY)
	python3 tests/crosscheck/crosscheck.py --bin "$(HOOKGATE_BIN)" --requests $(CROSSCHECK)/requests $(if $(ONLY),--only $(ONLY))

tools: ## what the tests need besides cargo; installs it on Debian when run as root
	@.ci/tools

image: ## the container image
	docker build -t hookgate .
