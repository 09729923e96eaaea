# The whole interface. `make help` lists it; ENV says which environment (a folder of ansible/inventories).
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export ENV ?= lab
# One lab is one name, one Debian release and one set of loopback ports; the tests make a second one beside it.
export LAB_NAME ?= prefect-lab
export LAB_RELEASE ?= trixie
export LAB_PORT_OFFSET ?= 0
export LAB_DIR = $(CURDIR)/.lab/$(LAB_NAME)

# What you type reaches the programs by the environment, letter by letter: neither make nor a shell reads it. What your shell
# exports by the same name is not meant for them: many export HOST.
$(foreach name,ARGS CANCEL CONFIRM FLOW HOST LIMIT NAME OFF ON OVERWRITE PACKED PARAMS PROJECT PRUNE REASON RELEASE START TAGS TEMPLATE TIME TYPE UNIT,$(eval \
  override export $(name) := $$(if $$(filter command,$$(origin $(name))),$$(value $(name)))))

# These are names and numbers, FAULTS several, which recipes have as they stand: what else make or a shell would read is refused.
strange := ' " ` $$ ; & | < > ( ) { } [ ] * ? ! \# ~ \ % :
blanks_in = $(filter-out 1 $(if $(filter FAULTS,$(1)),$(words $(value $(1)))),$(words $(value $(1))))
strange_in = $(or $(call blanks_in,$(1)),$(strip $(foreach sign,$(strange),$(findstring $(sign),$(value $(1))))))
$(foreach name,CURDIR ENV LAB_NAME LAB_RELEASE LAB_PORT_OFFSET $(foreach optional,BENCH_ROWS FAULTS TEST_DEADLINE,$(if $(value $(optional)),$(optional))),\
  $(if $(call strange_in,$(name)),$(error $(name)='$(value $(name))' cannot be used: give it without blanks and signs$(if $(filter CURDIR,$(name)), by moving the clone to another folder))))

# All that is downloaded or made stays in the clone.
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export ANSIBLE_HOME := $(CURDIR)/.cache/ansible
export PREFECT_HOME := $(CURDIR)/.cache/prefect
export UV_CACHE_DIR := $(CURDIR)/.cache/uv
export XDG_CACHE_HOME := $(CURDIR)/.cache/xdg
export PATH := $(CURDIR)/.venv/bin:$(PATH)

inventory = ansible/inventories/$(ENV)
# The vault of an environment lies in its inventory, the vault of a lab goes with the lab.
ifeq ($(ENV),lab)
export STATE_DIR = $(LAB_DIR)
vault = $(STATE_DIR)/vault.yml
vault_password = $(STATE_DIR)/vault-password
ansible_options = -i $(inventory) --vault-password-file $(vault_password) -e @$(vault)
else
export STATE_DIR = $(CURDIR)/.cache/$(ENV)
vault = $(CURDIR)/$(inventory)/group_vars/all/vault.yml
vault_password = $(CURDIR)/$(inventory)/.vault-password
ansible_options = -i $(inventory) --vault-password-file $(vault_password)
endif
playbook = ansible-playbook $(ansible_options)
# Stamps: what is unchanged is not looked into again by the next command.
vault_opens = $(STATE_DIR)/.vault-opens
settings = $(STATE_DIR)/prefect.env
# In the environment, and on no command line, where everybody would see the login.
prefect_env = . $(settings)

help: ## This list
	@awk -F ':.*## ' '/^# --- / {gsub(/^# --- | -+$$/, ""); section = $$0} \
	  /^[a-z-]+:.*## / {if (section) printf "\n%s\n", toupper(substr(section, 1, 1)) substr(section, 2); section = ""; \
	  printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- the control machine -------------------------------------------------------------------------------------------
.venv/.complete: requirements/uv.txt requirements/control.txt
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed, python3 is $$(python3 -V)."; exit 1; }
	@echo "Control environment (.venv, a minute the first time)" >&2
	@python3 -c 'import ensurepip' 2>/dev/null || { test "$$(id -u)" = 0 && apt-get -qq update && apt-get -qq install python3-venv >/dev/null; } || \
	  { echo "python3 cannot make virtual environments here. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@test ! -L .venv || { echo ".venv is a link: remove it, it would be emptied."; exit 1; }
	@python3 -m venv --clear .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@.venv/bin/uv pip sync --quiet --python .venv/bin/python --require-hashes --compile-bytecode requirements/uv.txt requirements/control.txt
	@ln -sfn "$$(.venv/bin/python -c 'import ansible_mitogen; print(ansible_mitogen.__path__[0])')/plugins/strategy" .venv/strategy
	@touch $@

lock: .venv/.complete ## Resolve every requirements.in into its hashed lock, and show what moved: [PROJECT=sales]
	@python -m requirements.locks lock $${PROJECT:+--project="$$PROJECT"}

outdated: .venv/.complete ## Show what `make lock` would move, and what a limit keeps from its latest release
	@python -m requirements.locks outdated

# --- an environment ------------------------------------------------------------------------------------------------
secrets: $(inventory) .venv/.complete ## Make the vault of ENV: strong values, and placeholders for values that only you know
	@mkdir -p $(STATE_DIR)
	@ansible-playbook -i localhost, -e secrets_template=$(CURDIR)/$(inventory)/group_vars/all/vault.yml.j2 \
	  -e secrets_vault=$(vault) -e secrets_password=$(vault_password) ansible/secrets.yml

$(inventory):
	@echo "$(inventory) does not exist: cp -r ansible/inventories/example $(inventory)"; exit 1

part = $${TAGS:+--tags "$$TAGS"} $${LIMIT:+--limit "$$LIMIT"} $$ARGS
provision: $(vault_opens) ## Turn bare servers into the platform, or apply changed settings: [TAGS=proxy] [LIMIT=host] [ARGS='-e name=value']
	@$(playbook) $(part) ansible/site.yml

plan-provision: $(vault_opens) ## Show what `make provision` would change, without changing it: [TAGS=proxy] [LIMIT=host] [ARGS=-v]
	@$(playbook) $(part) ansible/site.yml --check --diff

# What was cut off is gone back from, or ended, before anything else; so is what fails.
upgrade_log = $(STATE_DIR)/upgrade.log
define upgrade_platform
	@mkdir -p $(STATE_DIR); rm -f $(upgrade_log)
	@$(playbook) ansible/go_back.yml
	@$(prefect_env); ANSIBLE_ANY_ERRORS_FATAL=true ANSIBLE_LOG_PATH=$(upgrade_log) $(playbook) ansible/$(1).yml || \
	  ANSIBLE_LOG_PATH=$(upgrade_log) $(playbook) ansible/go_back.yml -e upgrade_log=$(upgrade_log) || \
	  { grep -q 'failed: localhost: Report that the upgrade failed' $(upgrade_log) || \
	    echo "failed: the error above stopped the hosts where they are; correct it, and \`make upgrade ENV=$(ENV)\` continues from there." >&2; exit 1; }
endef

upgrade: $(settings) ## Move the hosts to the locks of this checkout; rolls back if it fails: [CONFIRM=1] [OVERWRITE=1]
	$(call upgrade_platform,upgrade)

rollback-platform: $(settings) ## Move the hosts back to the locks before the last upgrade: [CONFIRM=1] [OVERWRITE=1]
	$(call upgrade_platform,rollback_platform)

# --- flows ---------------------------------------------------------------------------------------------------------
# Pools, and the values of blocks: by a pipe, never in a file or a list of processes.
facts = <(ansible localhost $(ansible_options) --playbook-dir ansible --module-name ansible.builtin.debug \
  --args '{"msg": {"platform_inventory": "{{ platform_inventory }}"}}' | sed '0,/ => {$$/{/ => {$$/!d; s/.*=> //}')
registered = --inventory $(facts) $${PRUNE:+--prune}
# Archive and manifest of a release. A deployment packs into a folder of its own, as two of them may run at once.
packed = $(STATE_DIR)/packed
pack_apart = mkdir -p $(STATE_DIR); packed=$$(mktemp -d $(packed).XXXXXX); trap 'rm -rf "$$packed"' EXIT
# What a release wants registered, from the playbook to deploy.py, also apart.
wanted = mkdir -p $(STATE_DIR); wanted=$$(mktemp $(STATE_DIR)/release.XXXXXX); trap 'rm -f "$$wanted"' EXIT

check: .venv/.complete ## Check every file under flows/, without a server
	@mkdir -p $(STATE_DIR); python deploy.py check --target $(ENV) 2>&1 | tee $(STATE_DIR)/check.txt

plan: $(settings) ## Show what `make deploy-flows` would change on the server, field by field: [PRUNE=1]
	@$(prefect_env); python deploy.py plan --target $(ENV) $(registered) --markdown $(STATE_DIR)/plan.md || test $$? = 2

pack: .venv/.complete ## Check the flows and pack a release, without vault and server, for make deploy-flows PACKED=1
	@rm -rf $(packed); python deploy.py pack --target $(ENV) $(packed)

deploy-flows: $(settings) ## Check the flows, ship a release to the workers, register its deployments: [PACKED=1] [PRUNE=1]
	@if test -n "$$PACKED"; then packed=$(packed); else $(pack_apart); fi; \
	  $(prefect_env); $(playbook) ansible/deploy.yml -e flows_packed="$$packed"; \
	  python deploy.py apply "$$packed/manifest.json" $(registered); \
	  $(playbook) ansible/registered.yml -e flows_manifest="$$packed/manifest.json" >/dev/null

rollback: $(settings) ## Register the previous release again, or RELEASE=<id>: [PRUNE=1]
	@$(wanted); $(playbook) ansible/rollback.yml -e flows_manifest="$$wanted"; \
	  $(prefect_env); python deploy.py apply "$$wanted" $${PRUNE:+--prune}; \
	  $(playbook) ansible/registered.yml -e flows_manifest="$$wanted" >/dev/null

run: $(settings) ## Run a deployment and follow it: FLOW=<flow>/<deployment> [PARAMS=json]
	@test -n "$$FLOW" || { echo "Say which: make run FLOW=<flow>/<deployment> ENV=$(ENV)"; exit 1; }
	@$(prefect_env); python deploy.py run "$$FLOW" $${PARAMS:+--parameters "$$PARAMS"}

new-project: .venv/.complete ## Make a project of your own: NAME=sales TEMPLATE=plain|db_dump|pipeline
	@python -m templates.new_project -- "$${NAME:-}" "$${TEMPLATE:-}"

# --- operation -----------------------------------------------------------------------------------------------------
env: $(settings) ## Print the PREFECT_* settings of ENV, for: eval "$(make -s env)"
	@cat $<

$(settings): $(vault_opens) ansible/env.yml ansible/group_vars/all.yml $(shell find $(inventory) -type f -not -name '.*' 2>/dev/null)
	@$(playbook) ansible/env.yml >/dev/null

status: $(settings) ## Show units, disks, updates, backups and runs on one screen; fails if there is a problem
	@mkdir -p $(STATE_DIR); $(prefect_env); python -m status $(STATE_DIR)/status.json $(playbook) ansible/status.yml

logs: $(vault_opens) ## Show the journal of a unit: UNIT=prefect-server [HOST=host]
	@test -n "$$UNIT" || { echo "Say which: make logs UNIT=prefect-server ENV=$(ENV) (or prefect-worker@default, nginx, ...)"; exit 1; }
	@journal=$$(mktemp $(STATE_DIR)/journal.XXXXXX); trap 'rm -f "$$journal"' EXIT; \
	  $(playbook) ansible/logs.yml -e logs_file="$$journal" >/dev/null || status=$$?; cat "$$journal"; exit $${status:-0}

maintenance: $(vault_opens) ## Hold the server back while runs wait: ON=1 [REASON=text], until OFF=1
	@test "$${ON:+on}$${OFF:+off}" = on -o "$${ON:+on}$${OFF:+off}" = off || { echo "Say which: make maintenance ON=1 REASON='…' ENV=$(ENV), or OFF=1"; exit 1; }
	@$(playbook) ansible/maintenance.yml

renew-dry-run: $(vault_opens) ## Try the renewal of the certificate, without changing it
	@$(playbook) ansible/renew_dry_run.yml

backup: $(vault_opens) ## Back up the database now: [TYPE=full]
	@$(playbook) ansible/backup.yml

restore: $(vault_opens) ## Restore the database as of the last moment, or of TIME='2026-11-20 14:00:00+00': [OVERWRITE=1] [START=1]
	@$(playbook) ansible/restore.yml

resume: $(vault_opens) ## Start the runs that a restore holds; [CANCEL=1] cancels those that are due
	@$(playbook) ansible/resume.yml

restore-drill: $(vault_opens) ## Restore the last backup into a scratch cluster, check it, remove it
	@$(playbook) ansible/restore_drill.yml

$(vault_opens): $(vault) $(vault_password) | .venv/.complete
	@ansible-vault view --vault-password-file $(vault_password) $(vault) >/dev/null 2>&1 || \
	  { echo "$(vault) does not open with $(vault_password): put the right password there, or ansible-vault encrypt what is not encrypted."; exit 1; }
	@mkdir -p $(STATE_DIR) && touch $@

$(vault) $(vault_password):
	@echo "$(inventory) has no vault: make secrets ENV=$(ENV)"; exit 1

# --- CI ------------------------------------------------------------------------------------------------------------
# What a job needs to open the vault (ci-vault), and to reach the hosts too (ci-credentials): docs/ci-cd.md.
ci_key = $(STATE_DIR)/ci/key
ci_known_hosts = $(STATE_DIR)/ci/known_hosts
# Only the hosts that are listed: a job has nobody to look at a key it sees for the first time.
ifneq ($(wildcard $(ci_key)),)
export ANSIBLE_PRIVATE_KEY_FILE = $(ci_key)
export ANSIBLE_SSH_ARGS = -o ControlMaster=auto -o ControlPersist=120s -o StrictHostKeyChecking=yes -o UserKnownHostsFile=$(ci_known_hosts)
# A job signs in as the user who may deploy, and no more.
ansible_options += -e ansible_user=prefect-deploy
endif

ci-vault: ci_secrets = VAULT_PASSWORD
ci-credentials: ci_secrets = VAULT_PASSWORD SSH_PRIVATE_KEY SSH_KNOWN_HOSTS
ci-vault ci-credentials:
	@test $(ENV) != lab || { echo "The lab makes its own credentials. Say which environment: make $@ ENV=production"; exit 1; }
	@test -f $(vault) || { echo "$(vault) is not there: make secrets ENV=$(ENV), and commit it."; exit 1; }
	@missing=; for secret in $(ci_secrets); do test -n "$${!secret:-}" || missing="$$missing $$secret"; done; \
	  test -z "$$missing" || { echo "Not set:$$missing. Add what is missing to the secrets of the GitHub environment (docs/ci-cd.md)."; exit 1; }
	@test ! -e $(vault_password) || test "$$(cat $(vault_password))" = "$$VAULT_PASSWORD" || \
	  { echo "$(vault_password) holds another password than VAULT_PASSWORD: it is kept; remove it if it is the wrong one."; exit 1; }
	@write() { printf '%s\n' "$${!1}" | install -D -m 600 /dev/stdin "$$2"; }; write VAULT_PASSWORD $(vault_password); \
	  test $@ = ci-vault || { write SSH_PRIVATE_KEY $(ci_key); write SSH_KNOWN_HOSTS $(ci_known_hosts); }

# --- the lab -------------------------------------------------------------------------------------------------------
up: ## Make the lab from nothing: hosts, provision, deploy, one run of each main flow
	@$(MAKE) secrets ENV=lab
	@$(MAKE) --jobs=4 lab-flows lab-outside ENV=lab
	@$(MAKE) --jobs=2 up/db_dump/shop-postgres up/azure-snowflake-dbt/production-daily
	@$(MAKE) ui ENV=lab

up/%:
	@$(MAKE) run FLOW=$* ENV=lab

lab: lab-host lab-acme lab-outside

lab-host lab-acme lab-outside: lab-base

lab-base lab-host lab-acme lab-outside: $(vault_opens)
	@$(playbook) compose/$(@:lab-%=%).yml

# The server is provisioned, and knows the flows, while what is outside is still being built.
lab-provision: lab-host lab-acme
	@$(MAKE) provision

lab-flows: lab-provision check
	@$(MAKE) deploy-flows

ui: $(settings) ## Print address and login of the UI, and the last runs
	@$(prefect_env); $(playbook) ansible/ui.yml

down: .venv/.complete ## Remove the lab and its copies
	@ansible-playbook compose/down.yml

# --- tests ---------------------------------------------------------------------------------------------------------
reports := $(CURDIR)/.cache/reports
pytest = python -m pytest --junitxml=$(reports)/$(1).xml
projects := $(notdir $(patsubst %/,%,$(dir $(wildcard flows/*/prefect.yaml))))
live := $(patsubst flows/%/tests/live,%,$(wildcard flows/*/tests/live))

test: ## Test everything on a lab of its own: lint, unit tests, the platform from nothing, faults
	@rm -rf $(reports) && mkdir -p $(reports)
	@status=0; $(MAKE) test-everything 2>&1 | tee $(reports)/output.log || status=$$?; \
	  python3 tests/summary.py $(reports) | tee $(reports)/summary.txt; exit $$status

# What is quick and broad comes first. With a deadline (TEST_DEADLINE, as .ci/run sets it) the faults run as far as they fit.
test-everything:
	@$(MAKE) tools lint
	@$(MAKE) --jobs=2 test-without-lab test-lab
	@$(MAKE) down LAB_NAME=$(tests_lab)

as_root = as_root=; test "$$(id -u)" = 0 || as_root="sudo --non-interactive"
# The checker of Prometheus' rules, out of a package whose service nobody wants here.
.cache/promtool:
	@$(as_root); mkdir -p .cache/tools && cd .cache/tools && \
	  { apt-get -qq download prometheus || $$as_root apt-get -qq update && apt-get -qq download prometheus; } 2>/dev/null && \
	  dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool && mv usr/bin/promtool ../promtool || \
	  { echo "The tests need Prometheus' promtool: put it at .cache/promtool"; exit 1; }
	@rm -r .cache/tools

# Programs the tests use: nginx and systemd read the templates, Chromium (or Google Chrome, by its name) opens the UI.
tools: tools-unit tools-browser
tools-unit: .cache/promtool
tools-unit: programs = nginx:nginx-light systemd-analyze:systemd openssl:openssl
tools-browser: programs = chromium:chromium certutil:libnss3-tools
tools-browser: missing = $$(getent ahosts prefect.localhost >/dev/null || echo " libnss-myhostname")
tools-unit tools-browser: .venv/.complete
	@command -v chromium >/dev/null || ! chrome=$$(command -v google-chrome) || ln -sf "$$chrome" .venv/bin/chromium
	@missing="$(missing)"; for tool in $(programs); do \
	  PATH="$$PATH:/usr/sbin" command -v "$${tool%:*}" >/dev/null || missing="$$missing $${tool#*:}"; done; \
	$(as_root); test -z "$$missing" || { $$as_root true 2>/dev/null && $$as_root apt-get -qq update && \
	  $$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends $$missing >/dev/null; } || \
	{ echo "The tests need programs that are not here: apt-get install$$missing"; exit 1; }

# Beside the lab, which takes longer: it goes first.
test-without-lab:
	@nice -n 5 $(MAKE) test-unit
	@nice -n 5 $(MAKE) test-flows

test-quick: ## Test what needs no lab, in three minutes: lint and unit tests
	@$(MAKE) --jobs=2 --output-sync=line lint test-unit

lint: .venv/.complete ## Python, YAML and Ansible
	@ruff check && ruff format --check
	@$(MAKE) --jobs=2 lint-yaml lint-ansible

lint-yaml:
	@yamllint --strict .

lint-ansible:
	@ansible-lint

test-unit: tools-unit ## Test without a lab: deploy.py, host programs, templates through nginx and systemd
	@$(call pytest,unit) --numprocesses=auto tests/unit tests/templates

test-flows: $(projects:%=test-flows-%) ## Test the flows without a lab

test-flows-%: .venv/.complete
	@cd flows/$* && $$(python $(CURDIR)/deploy.py python $* --dev) -m pytest --junitxml=$(reports)/flows-$*.xml tests

# The tests' lab has its own name and ports: a lab of yours beside it is left alone.
tests_lab := prefect-test
test-lab: export LAB_NAME := $(tests_lab)
test-lab: export LAB_PORT_OFFSET := 10000

test-lab: tools-browser ## Build the platform from nothing on a lab of its own, twice; then test it and its copies
	@cd ansible && molecule reset >/dev/null 2>&1
	@ansible-playbook compose/engine.yml
	@$(MAKE) down
	@$(MAKE) secrets ENV=lab
	@{ $(MAKE) --jobs=3 test-snapshot lab-outside ENV=lab && $(MAKE) --jobs=2 test-original test-copies ENV=lab; } || \
	  { echo "The lab is kept for a look; \`make down LAB_NAME=$(LAB_NAME)\` removes it."; exit 1; }

test-provision: lab-host lab-acme
	@cd ansible && CLONE=$(CURDIR) COLUMNS=120 molecule test --destroy=never

test-snapshot: test-provision
	@$(MAKE) deploy-flows
	@$(MAKE) snapshot

# Beside its copies
test-original:
	@$(MAKE) test-platform
	@$(MAKE) test-live

test-platform: $(settings)
	@$(prefect_env); $(call pytest,lab) tests/host tests/e2e tests/refusals

test-faults: ## Test faults on copies of the lab LAB_NAME, which must be up: [FAULTS=broken_worker]
	@$(MAKE) snapshot
	@$(MAKE) test-copies

snapshot: .venv/.complete
	@ansible-playbook compose/snapshot.yml

# Each file on a copy of its own, several at a time, as they mostly wait.
all_faults = $(or $(patsubst tests/faults/test_%.py,%,$(shell python3 tests/order.py tests/faults)),$(error There is no list of tests/faults))
# The long outage takes a quarter of an hour and an idle processor, which a run with a deadline does not have.
too_long = $(if $(TEST_DEADLINE),long_outage)
faults = $(filter-out $(too_long),$(all_faults))

test-copies: $(settings)
	@$(if $(FAULTS),,$(foreach name,$(too_long),echo "tests/faults/test_$(name).py: make test-faults FAULTS=$(name)" >> $(reports)/interrupted.txt;))
	@$(prefect_env); MAKEFLAGS=--no-print-directory $(MAKE) --jobs=3 --keep-going --output-sync=target $(patsubst %,test-faults-%,$(or $(FAULTS),$(faults)))

# A file that was begun in time may still take too long: it is interrupted, and named at the end.
left = $$((TEST_DEADLINE - $$(date +%s)))
until_deadline = $${TEST_DEADLINE:+timeout --signal=INT --kill-after=60 $$(($(left) > 1 ? $(left) : 1))}
test-faults-%:
	@$(until_deadline) $(call pytest,faults-$*) $${TEST_DEADLINE:+--deadline=$$TEST_DEADLINE} tests/faults/test_$*.py || \
	  { status=$$?; [[ $${TEST_DEADLINE:-} && $(left) -le 0 && ( $$status = 124 || $$status = 137 ) ]] || exit $$status; \
	    echo "tests/faults/test_$*.py: the deadline came before its end" | tee -a $(reports)/interrupted.txt; }

# The flows against the databases, blob storage, function and warehouse of the lab; they need nothing of its host.
test-live: $(live:%=test-live-%)

$(LAB_DIR)/flows.env:
	@echo "There is no lab '$(LAB_NAME)': run \`make up\` first."; exit 1

test-live-%: $(LAB_DIR)/flows.env
	@set -a; . $(LAB_DIR)/flows.env; set +a; cd flows/$* && \
	  $$(python $(CURDIR)/deploy.py python $* --dev) -m pytest --junitxml=$(reports)/live-$*.xml tests/live

# --- benchmarks ------------------------------------------------------------------------------------------------------
benchmarks := postgres-to-parquet parquet-to-postgres mariadb-to-parquet

# Their databases have names of their own too, and are removed at the end.
bench: $(benchmarks:%=bench-%) ## Measure the dumps beside other tools; a single one: make bench-postgres-to-parquet
	@ansible-playbook compose/bench.yml -e bench_databases_state=absent

bench-%: export LAB_NAME := prefect-bench
bench-%: export BENCH_ROWS ?= 5000000
bench-%: .venv/.complete .cache/envs/bench/.complete
	@mkdir -p $(LAB_DIR) && ansible-playbook compose/bench.yml
	@PROJECT_PYTHON=$$(python deploy.py python db_dump) PEERS_PYTHON=.cache/envs/bench/bin/python python bench/run.py $*

bench-provision: .venv/.complete ## Measure provision, status, plan, deploy-flows and up, beside an earlier commit
	@python bench/provision.py

# On a lab that is up, whose server it asks a few hundred things; nothing is left there.
bench-deploy: export LAB_NAME := prefect-lab
bench-deploy: $(settings) ## Measure deploy.py for 100 projects, beside `prefect deploy --all`
	@$(prefect_env); python bench/deploy.py

.cache/envs/bench/.complete: bench/requirements.txt .venv/.complete
	@uv venv --quiet --clear .cache/envs/bench
	@uv pip sync --quiet --python .cache/envs/bench/bin/python --require-hashes $<
	@touch $@

# --- documentation ---------------------------------------------------------------------------------------------------
docs: docs-reference .cache/envs/docs/.complete ## Build the documentation as a site in .cache/docs, with all links checked
	@NO_MKDOCS_2_WARNING=1 .cache/envs/docs/bin/mkdocs build --strict
	@echo "The documentation is in .cache/docs/index.html"

docs-reference: .venv/.complete ## Write docs/reference anew: settings, commands, resources.yml, targets.yml
	@python -m docs.reference.generate

.cache/envs/docs/.complete: requirements/docs.txt .venv/.complete
	@uv venv --quiet --clear .cache/envs/docs
	@uv pip sync --quiet --python .cache/envs/docs/bin/python --require-hashes $<
	@touch $@

commands := docs docs-reference bench bench-provision bench-deploy help lock outdated secrets provision plan-provision upgrade rollback-platform check plan pack deploy-flows rollback run env status logs maintenance renew-dry-run backup restore resume restore-drill new-project up lab lab-base lab-host lab-acme lab-outside lab-provision lab-flows ui down \
  ci-vault ci-credentials test test-everything test-without-lab test-quick tools tools-unit tools-browser lint lint-yaml lint-ansible test-flows test-unit test-lab test-provision test-platform test-live test-faults test-copies test-snapshot test-original snapshot
.PHONY: $(commands)

# Before anything is done: make would do the rest first.
families := up/% lab-% bench-% test-flows-% test-faults-% test-live-% .%
$(foreach goal,$(filter-out $(commands) $(families),$(MAKECMDGOALS)),$(error '$(goal)' is no command (make help lists them). \
  A value with a blank needs quotes: TIME='2026-11-20 14:00:00+00'))
