# Everything a person or a CI does with this checkout. `make help` lists it.
.DEFAULT_GOAL := help
# The local stack's state stays in the checkout, wherever the user's own Pulumi keeps other stacks.
unexport PULUMI_BACKEND_URL PULUMI_ACCESS_TOKEN
.PHONY: help up verify down lab lab-ca test check unit faults bench bootstrap

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{ printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: lab ## the local stack on this machine, from nothing or from an older state, until every port is as expected
	@tools/pulumi stack select dev --create --secrets-provider passphrase >/dev/null
	@tools/vectis up --stack dev --refresh --wait 180

verify: ## what ports 25, 80, 443, 465, 587, 993 and 995 of the local stack serve, and whether that is as expected
	@tools/vectis verify --stack dev

down: ## removes the local stack and the lab: containers, networks and volumes
	@tools/down

lab: bootstrap ## the small internet that the local stack lives in: ACME CA, DNS, mail sinks
	@lab/https-ca
	@tools/pulumi -C lab stack select dev --create --secrets-provider passphrase >/dev/null
	@tools/pulumi -C lab up --stack dev --yes --skip-preview --refresh --suppress-progress --suppress-permalink=true --suppress-outputs

lab-ca: ## the root certificate (PEM) that the lab's CA issues from at this moment
	@lab/root-ca

test: bootstrap ## checks, unit tests and end-to-end tests; the last line is the sum
	@tools/node tools/test.ts

check: bootstrap ## types, lint, format and shell scripts
	@tools/node tools/test.ts check

unit: bootstrap ## the tests that need no running stack
	@tools/node tools/test.ts unit

faults: bootstrap ## every fault of docs/faults.md, those that take long too; writes that file
	@VECTIS_TEST_FAULTS=. VECTIS_WRITE_FAULTS=1 tools/node tools/test.ts e2e faults/

bench: bootstrap ## the benchmarks, as a table and JSON
	@tools/node bench/main.ts

bootstrap: ## only what a bare machine lacks: Docker, Node.js 24, Pulumi, provider plugins, base images
	@tools/bootstrap
