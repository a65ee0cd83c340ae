# Commands for developers. `make test` is the one gate: it installs what it needs and runs everything that has to pass.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := target/venv
FUZZ := target/venv-fuzz
DEPLOY := target/venv-deploy
CLIENT := clients/typescript
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

CARGO_TEST := $(shell command -v cargo-nextest >/dev/null && echo "cargo nextest run" || echo "cargo test")

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## Start everything on this machine
	cargo run

.PHONY: test
test: format words lint docs book deny rust contract openapi-lint client-test browser-test generators-test fuzz-api template-test ## Run everything that has to pass

.PHONY: format
format: ## Check the formatting
	cargo fmt --all --check
	rustfmt --check --edition 2024 clients/generators/rust/src/main.rs

.PHONY: words
words: ## Check that no text uses a word for which there is a better one
	tests/words.sh

# A warning fails here, also in doc comments; in `cargo run` it stays a warning.
.PHONY: lint
lint: ## Run clippy; a warning fails
	cargo clippy --workspace --all-targets --features bench/run -- --deny warnings

.PHONY: docs
docs: ## Build the documentation; a warning fails
	RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps --quiet

BOOK := target/venv-book

.PHONY: book
book: $(BOOK)/.made ## Build the documentation as a book, and check all links in the documents
	$(BOOK)/bin/mdbook build
	$(BOOK)/bin/python tests/book/links.py

$(BOOK)/.made: tests/book/requirements.txt
	python3 -m venv $(BOOK)
	$(BOOK)/bin/pip install --quiet --requirement $<
	touch $@

.PHONY: deny
deny: ## Check licences and sources of dependencies
	command -v cargo-deny >/dev/null || cargo install --quiet --locked cargo-deny@0.20.2
	cargo deny --log-level error check bans licenses sources

.PHONY: rust
rust: $(VENV)/.made client-built /usr/share/doc/libfaketime /usr/bin/valgrind /usr/bin/jq /usr/bin/go ## Run the Rust tests, including end to end
	cargo build --workspace --bins
	$(CARGO_TEST) --workspace
	cargo test --quiet --workspace --doc

# Third-party clients, which the end-to-end tests run against the local stack.
$(VENV)/.made: tests/requirements.txt
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --requirement $<
	touch $@

.PHONY: contract
contract: $(VENV)/.made $(if $(AWS_CONTRACT),$(DEPLOY)/.made) ## Test the behaviour that Longhaul relies on, at the local stack or at AWS (AWS_CONTRACT=1)
	cargo build --quiet
	PATH=$(CURDIR)/$(DEPLOY)/bin:$$PATH $(VENV)/bin/python contract/run.py

.PHONY: openapi
openapi: ## Write the OpenAPI document to openapi.yaml
	cargo build --workspace --bins
	target/debug/openapi > openapi.yaml.new && mv openapi.yaml.new openapi.yaml

.PHONY: openapi-lint
openapi-lint: $(CLIENT)/node_modules/.made ## Lint the OpenAPI document; a warning fails
	cd $(CLIENT) && npx redocly lint ../../openapi.yaml
	cd $(CLIENT) && npx spectral lint --fail-severity hint ../../openapi.yaml

.PHONY: clients
clients: $(CLIENT)/node_modules/.made ## Generate the clients from openapi.yaml
	cd $(CLIENT) && npx openapi-ts --silent

.PHONY: client-test
client-test: client-tests-built ## Run the client's tests
	cd $(CLIENT) && npx openapi-ts --silent --output build/generated
	diff --recursive $(CLIENT)/src/generated $(CLIENT)/build/generated \
		|| { echo "$(CLIENT)/src/generated is not what openapi.yaml generates: run 'make clients'" >&2; exit 1; }
	cd $(CLIENT) && node --test --test-reporter=spec build/*.test.js

.PHONY: browser-test
browser-test: client-tests-built /usr/bin/chromium ## Test the documentation page in Chromium
	cd $(CLIENT) && node --test --test-reporter=spec build/browser/*.test.js

GENERATORS := target/venv-generators

.PHONY: generators-test
generators-test: $(GENERATORS)/.made clients/generators/node_modules/.made /usr/bin/javac /usr/share/doc/libgeronimo-annotation-1.3-spec-java ## Generate clients in four languages, and run an execution with each
	cargo build --quiet
	cd clients/generators && PATH="$(CURDIR)/$(GENERATORS)/bin:$$PATH" python -m unittest --verbose

# A separate environment: its dependencies conflict with the clients'.
$(GENERATORS)/.made: clients/generators/requirements.txt
	python3 -m venv $(GENERATORS)
	$(GENERATORS)/bin/pip install --quiet --requirement $<
	touch $@

clients/generators/node_modules/.made: clients/generators/package-lock.json
	cd clients/generators && npm ci --silent
	touch $@

/usr/bin/javac:
	$(SUDO) apt-get update --quiet --quiet
	$(SUDO) apt-get install --yes --quiet --quiet --no-install-recommends default-jdk-headless

# The annotations that the generated Java code uses.
/usr/share/doc/libgeronimo-annotation-1.3-spec-java:
	$(SUDO) apt-get update --quiet --quiet
	$(SUDO) apt-get install --yes --quiet --quiet --no-install-recommends libgeronimo-annotation-1.3-spec-java

.PHONY: fuzz-api
fuzz-api: $(FUZZ)/.made ## Fuzz the API against its own OpenAPI document (FUZZ_SECONDS)
	cargo build --quiet
	PATH="$(CURDIR)/$(FUZZ)/bin:$$PATH" tests/fuzz/run.sh "$${FUZZ_SECONDS:-60}"

# A separate environment: its dependencies conflict with the clients'.
$(FUZZ)/.made: tests/fuzz/requirements.txt
	python3 -m venv $(FUZZ)
	$(FUZZ)/bin/pip install --quiet --requirement $<
	touch $@

# What examples/node uses.
.PHONY: client-built
client-built: $(CLIENT)/node_modules/.made
	cd $(CLIENT) && npm run --silent build

.PHONY: client-tests-built
client-tests-built: client-built
	cargo build --quiet
	cd $(CLIENT) && npm run --silent build-tests

$(CLIENT)/node_modules/.made: $(CLIENT)/package-lock.json
	cd $(CLIENT) && npm ci --silent
	touch $@

SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# Moves the clock forward, for the tests that run through a year.
/usr/share/doc/libfaketime:
	$(SUDO) apt-get update --quiet --quiet
	$(SUDO) apt-get install --yes --quiet --quiet --no-install-recommends libfaketime

# Counts instructions, for the tests of what a response costs.
/usr/bin/valgrind:
	$(SUDO) apt-get update --quiet --quiet
	$(SUDO) apt-get install --yes --quiet --quiet --no-install-recommends valgrind

# What examples/shell uses.
/usr/bin/jq:
	$(SUDO) apt-get update --quiet --quiet
	$(SUDO) apt-get install --yes --quiet --quiet --no-install-recommends jq

# Builds examples/jobs/go.
/usr/bin/go:
	$(SUDO) apt-get update --quiet --quiet
	$(SUDO) apt-get install --yes --quiet --quiet --no-install-recommends golang-go

/usr/bin/chromium:
	$(SUDO) apt-get update --quiet --quiet
	$(SUDO) apt-get install --yes --quiet --quiet --no-install-recommends chromium

# ---------------------------------------------------------------------------------------------------------------- AWS

SCAN := target/venv-scan
# Deploying and checking use the same pinned tools. The checks need no account.
sam-build template template-test image-test deploy destroy: export PATH := $(CURDIR)/$(DEPLOY)/bin:$(PATH)
sam-build template-test: export AWS_DEFAULT_REGION ?= us-east-1
sam-build template-test deploy destroy: export SAM_CLI_TELEMETRY := 0

.PHONY: deploy
deploy: $(DEPLOY)/.made ## Build everything and deploy it to AWS, with the jobs of a file (JOBS=longhaul.toml)
	deploy/deploy.sh

# The same as what is deployed, except for the images, which are named by their tags here, and jobs that are being removed.
.PHONY: template
template: $(DEPLOY)/.made ## Print the template that would be deployed (JOBS=longhaul.toml, PACKAGE, ARCHITECTURE)
	@deploy/template.sh

.PHONY: destroy
destroy: $(DEPLOY)/.made ## Delete everything from AWS
	deploy/destroy.sh

.PHONY: template-test
template-test: $(DEPLOY)/.made $(SCAN)/.made ## Check template.yaml, its policies and the scripts that deploy
	sam validate --lint
	sam validate --lint --template contract/template.yaml
	python deploy/image_template.py > target/image-template.json
	sam validate --lint --template target/image-template.json
	cfn-lint template.yaml target/image-template.json
	$(SCAN)/bin/checkov --skip-download --compact --file template.yaml --output json > target/checkov.json \
		|| { $(SCAN)/bin/checkov --skip-download --compact --quiet --file template.yaml; exit 1; }
	# The templates of one job and of fifty. `sam validate --lint` runs cfn-lint.
	for jobs in 1 50; do \
		python deploy/tests/jobs_file.py $$jobs > target/jobs-$$jobs.json; \
		sam validate --lint --template target/jobs-$$jobs.json; \
		$(SCAN)/bin/checkov --skip-download --compact --soft-fail --file target/jobs-$$jobs.json --output json > target/checkov-$$jobs.json; \
	done
	shellcheck --external-sources deploy/*.sh
	cargo build --quiet --workspace --bins
	cd deploy/tests && python -m unittest --verbose test_template test_jobs test_policies test_scripts test_orders test_job_orders test_emulator

# Slow: `sam-build` and `image-test` compile everything for release. The random and exhaustive tests are skipped: `make test` runs them.
.PHONY: ship-test
ship-test: sam-build image-test $(VENV)/.made client-built /usr/share/doc/libfaketime /usr/bin/valgrind /usr/bin/jq /usr/bin/go ## Build what is deployed, and run it
	cargo build --workspace --bins
	LONGHAUL_BOOTSTRAPS=.aws-sam/build $(CARGO_TEST) --workspace --test e2e -- --skip soak:: --skip every_call:: --skip year::

.PHONY: soak
soak: ## Inject random faults for ten minutes (SOAK_SECONDS, SOAK_SEED), and check the outcome of every POST
	cargo build --workspace --bins
	SOAK_SECONDS=$${SOAK_SECONDS:-600} cargo test --workspace --test e2e soak -- --nocapture

BENCH := target/venv-bench

.PHONY: bench
bench: $(BENCH)/.made /usr/share/doc/libfaketime $(if $(or $(filter start,$(PARTS)),$(if $(PARTS),,all)),sam-build) ## Measure what Longhaul costs, compared with the alternatives (PARTS="start bill")
	cargo build --release --workspace --bins --features bench/run
	$(BENCH)/bin/python bench/bench.py $(PARTS)

$(BENCH)/.made: bench/requirements.txt
	python3 -m venv $(BENCH)
	$(BENCH)/bin/pip install --quiet --requirement $<
	touch $@

ENGINE := target/venv-engine

.PHONY: bench-engine
bench-engine: $(ENGINE)/.made ## Compare the local durable executions with AWS's own engine for tests
	cargo build --release --workspace --bins
	nice $(ENGINE)/bin/python bench/engine.py

$(ENGINE)/.made:
	python3 -m venv $(ENGINE)
	$(ENGINE)/bin/pip install --quiet aws-durable-execution-sdk-python-testing==1.4.0
	touch $@

.PHONY: year
year: ## Run through a year in minutes by moving the clock forward; the gate runs through a month
	cargo build --workspace --bins
	YEAR_DAYS=365 cargo test --workspace --test e2e year::a_year -- --nocapture

.PHONY: schedules
schedules: ## Run schedules through 60 days around both switches of a zone, with crashes; the gate runs through two days
	cargo build --workspace --bins
	SCHEDULE_DAYS=$${SCHEDULE_DAYS:-60} cargo test --workspace --test e2e schedules::every_time -- --nocapture

.PHONY: crashes
crashes: ## Crash at every AWS call in every kind of execution; the gate does so at every fifth
	cargo build --workspace --bins
	CRASHES_EVERY=$${CRASHES_EVERY:-1} cargo test --workspace --test e2e a_crash_at_any_call -- --nocapture

.PHONY: refusals
refusals: ## Refuse every AWS call once, in every kind of execution and in every way; the gate does so for one in twenty
	cargo build --workspace --bins
	REFUSALS_EVERY=$${REFUSALS_EVERY:-1} cargo test --workspace --test e2e a_refusal_of_any_call -- --nocapture

ARCHITECTURE ?= x86_64

.PHONY: sam-build
sam-build: $(DEPLOY)/.made ## Build the functions as they are deployed (ARCHITECTURE=x86_64 or arm64)
	sam build --parameter-overrides Architecture=$(ARCHITECTURE)
	cd deploy/tests && ARCHITECTURE=$(ARCHITECTURE) python -m unittest --verbose test_functions

.PHONY: explore
explore: $(FUZZ)/.made ## Run the soak, the model test and the fuzzer with a new seed, which is printed (SEED)
	cargo build --workspace --bins
	seed=$${SEED:-$$(shuf -i 1-999999999 -n 1)}; echo "SEED=$$seed"; \
		SOAK_SECONDS=$${SOAK_SECONDS:-600} SOAK_SEED=$$seed MODEL_CASES=$${MODEL_CASES:-40} MODEL_SEED=$$seed \
			cargo test --workspace --test e2e -- --nocapture --test-threads 1 soak:: model:: \
			|| { echo "found with SEED=$$seed: fix it, and add the case to the test" >&2; exit 1; }; \
		PATH="$(CURDIR)/$(FUZZ)/bin:$$PATH" FUZZ_SEED=$$seed tests/fuzz/run.sh "$${FUZZ_SECONDS:-600}" \
			|| { echo "found with SEED=$$seed: fix it, and add the case to the test" >&2; exit 1; }

.PHONY: large
large: ## Upload and download objects of 1 GiB (S3_LARGE_MIB) while the local S3 stays small; the gate uses 64 MiB
	cargo build --workspace --bins
	S3_LARGE_MIB=$${S3_LARGE_MIB:-1024} cargo test --workspace --test s3 large:: -- --nocapture

.PHONY: nightly
nightly: mutants refusals crashes explore large schedules ## Run the mutants, every fault and fresh seeds, and build what is deployed for arm64, the default architecture (the gate uses x86_64)
	$(MAKE) sam-build worker ARCHITECTURE=arm64

# The first stage of crates/worker/Dockerfile builds it in the same way.
.PHONY: worker
worker: $(if $(filter arm64,$(ARCHITECTURE)),/usr/bin/aarch64-linux-gnu-gcc) ## Build the worker as it is deployed (ARCHITECTURE=x86_64 or arm64)
	deploy/static-worker.sh $(ARCHITECTURE:x86_64=amd64) target/image/$(ARCHITECTURE)/worker
	cd deploy/tests && ARCHITECTURE=$(ARCHITECTURE) python3 -m unittest --verbose test_worker

CARGO_MUTANTS := 27.1.0

.PHONY: mutants
mutants: ## Break the pure code in many small ways, and check that its fast tests notice
	[ "$$(cargo mutants --version 2>/dev/null)" = "cargo-mutants $(CARGO_MUTANTS)" ] \
		|| cargo install --quiet --locked cargo-mutants@$(CARGO_MUTANTS)
	tests/mutants.sh

.PHONY: image-test
image-test: $(DEPLOY)/.made /usr/bin/buildah ## Build the images, without Docker, and run the worker's and the example's
	$(MAKE) worker ARCHITECTURE=$$(uname -m | sed s/aarch64/arm64/)
	cd deploy/tests && python -m unittest --verbose test_image

$(DEPLOY)/.made: deploy/requirements.txt
	python3 -m venv $(DEPLOY)
	$(DEPLOY)/bin/pip install --quiet --requirement $<
	touch $@

$(SCAN)/.made: deploy/requirements-scan.txt
	python3 -m venv $(SCAN)
	$(SCAN)/bin/pip install --quiet --requirement $<
	touch $@

/usr/bin/aarch64-linux-gnu-gcc:
	$(SUDO) apt-get update --quiet --quiet
	$(SUDO) apt-get install --yes --quiet --quiet --no-install-recommends gcc-aarch64-linux-gnu libc6-dev-arm64-cross

/usr/bin/buildah:
	$(SUDO) apt-get update --quiet --quiet
	$(SUDO) apt-get install --yes --quiet --quiet --no-install-recommends buildah
