# Every command of this repository. `make help` lists them.
STACK ?= dev
GO    ?= go

# The race detector needs a C compiler.
RACE := $(if $(shell command -v gcc || command -v clang),-race)
LINT := $(CURDIR)/bin
# Not `go run`, which calls a clean end after Ctrl-C a failure.
REHEARSAL := $(GO) build -o bin/rehearsal ./rehearsal && exec bin/rehearsal
BENCH     := $(GO) build -o bin/bench ./bench && exec bin/bench
DEPLOY    := $(GO) build -o bin/deploy ./deploy && exec bin/deploy
MODULES   := bench deploy infra rehearsal service

.DEFAULT_GOAL := help
.PHONY: help up preview cost preflight deploy recover accept setup test test-service test-infra test-deploy test-bench test-rehearsal image bench profile lint fmt build clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: ## deploy STACK (dev) on this machine, without AWS, and print its URL; Ctrl-C takes it down
	@$(REHEARSAL) up --stack $(STACK)

preview: ## show what a first deployment of STACK (dev) would make, without AWS
	@$(REHEARSAL) preview --stack $(STACK)

preflight: ## say what would stop a deployment of STACK (dev) to AWS: tools, credentials, quotas, names, the plan
	@$(DEPLOY) preflight --stack $(STACK)

deploy: ## deploy STACK (dev) to AWS, and make sure that the new version is what answers
	@$(DEPLOY) up --stack $(STACK)

recover: ## after an update of STACK (dev) on AWS that was cut off: tell Pulumi what there is; UNLOCK=1 takes its lock away
	@$(DEPLOY) recover --stack $(STACK) $(if $(UNLOCK),--unlock)

accept: setup ## take the plans of dev and prod as they now are, and the list of mistakes, for a reviewer to read in rehearsal/e2e
	ACCEPT_PLANS=1 $(GO) test -count=1 -run 'TestPlans|TestMistakesAreListed' ./rehearsal/e2e

setup: ## build the Pulumi CLI where none is installed, and compile the program; minutes, once
	@$(REHEARSAL) setup

cost: ## say what a month of STACK (dev) costs, idle and busy, by its plan
	@$(REHEARSAL) cost --stack $(STACK)

test: test-service test-infra test-deploy test-bench test-rehearsal ## everything, set-up included: a quarter of an hour

test-service: ## the service against a real PostgreSQL, and its image in a real container
	$(GO) test -count=1 $(RACE) ./service/...

test-infra: ## the Pulumi program under mocks, as preview and as up
	$(GO) test -count=1 ./infra/...

test-bench: ## the benchmark, all of it, but with runs too short to say anything
	$(GO) test -count=1 $(RACE) ./bench/...

test-deploy: ## the command that deploys, against what AWS and the tools would say
	$(GO) test -count=1 $(RACE) ./deploy/...

test-rehearsal: setup ## the simulated account, and dev and prod end to end with the real engine
	$(GO) test -count=1 $(RACE) ./rehearsal/clock ./rehearsal/cost ./rehearsal/docker ./rehearsal/engine ./rehearsal/fault ./rehearsal/host ./rehearsal/provider ./rehearsal/schema/...
	$(GO) test -count=1 -timeout 60m ./rehearsal/account ./rehearsal/e2e

image: ## build the image with Docker, run it as App Runner does, print its size
	$(GO) test -count=1 -v -run TestImage ./service/imagetest

bench: ## measure the service beside Gin + GORM and fasthttp + pgx, against its targets; half an hour, or QUICK=1 for two minutes
	@$(BENCH) $(if $(QUICK),-quick)

profile: ## record service/default.pgo, by which builds of the service are optimised from then on; minutes
	@$(BENCH) -profile service/default.pgo

lint: ## vet, golangci-lint for every module, actionlint for the workflows
	@for tool in golangci-lint actionlint; do echo "build $$tool"; (cd tools/$$tool && GOWORK=off GOBIN=$(LINT) $(GO) install tool) || exit 1; done
	@for module in $(MODULES); do echo "lint $$module"; (cd $$module && $(LINT)/golangci-lint run ./...) || exit 1; done
	$(LINT)/actionlint

fmt: ## format all Go code
	gofmt -w $(MODULES)

build: ## each module builds alone, as a Docker build or a copied program would need it
	@for module in $(MODULES); do echo "build $$module"; (cd $$module && GOWORK=off $(GO) build ./... ) || exit 1; done

clean: ## forget what was built here
	rm -rf bin
