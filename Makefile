# make prints the targets; make test is the test command of the README and of CI.

GO ?= go

.PHONY: help
help: ## print the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: run
run: ## fuzz a thousand seeds in the simulator
	$(GO) run ./cmd/lockstep fuzz --seeds 1000

.PHONY: serve
serve: ## run one broker on 127.0.0.1:9092, its data in ./lockstep-data
	$(GO) run ./cmd/lockstepd

.PHONY: test
test: ## all tests; Go and make are enough
	$(GO) vet ./...
	$(GO) test ./...
	cd bench && $(GO) vet ./... && $(GO) test ./...
	cd interop && $(GO) vet ./... && $(GO) test -parallel 4 ./... # clients mostly wait
	GO=$(GO) scripts/fuzz-short
	$(GO) run ./cmd/lockstep fuzz --seeds 200 --twice
	GO=$(GO) scripts/digests
	$(GO) run ./cmd/lockstep mutants K01 K06 M16 --seeds 40

.PHONY: mutants
mutants: ## build each real bug of the bank into the core and see that the simulator finds it
	$(GO) run ./cmd/lockstep mutants --shrink

RECORD ?= $(or $(TMPDIR),/tmp)/lockstep-record
SEEDS ?= 1..100000

.PHONY: record
record: ## run the campaign and the bank whose outcomes are kept in sim/testdata; hours, and it goes on where it was ended
	mkdir -p $(RECORD)
	test -x $(RECORD)/lockstep || $(GO) build -buildvcs=true -o $(RECORD)/lockstep ./cmd/lockstep
	$(RECORD)/lockstep fuzz --seeds $(SEEDS) --out $(RECORD)/campaign.ndjson --json >$(RECORD)/campaign.json
	$(RECORD)/lockstep mutants --shrink --budget 15m --out $(RECORD)/bank.ndjson --json >$(RECORD)/bank.json || test $$? = 1 # what is not found is on record, too
	cp $(RECORD)/campaign.json $(RECORD)/bank.json sim/testdata/

.PHONY: interop
interop: ## stock clients and tools of five languages against one real node and three; what cannot be installed is skipped
	cd interop && $(GO) run .

.PHONY: differential
differential: ## the same requests to Apache Kafka and to lockstepd; needs Java and Maven
	cd interop && $(GO) run . --differential new

.PHONY: compatibility
compatibility: ## both, written down in docs/COMPATIBILITY.md
	mkdir -p docs
	cd interop && $(GO) run . --doc ../docs/COMPATIBILITY.md

.PHONY: bench
bench: ## benchmarks of the simulator, then of the daemon beside others: a table and bench/results.json
	$(GO) test -run '^$$' -bench 'Canonical|ShortSeeds' ./sim
	cd bench && $(GO) run .

.PHONY: pgo
pgo: ## profile the simulator for the compiler: the next builds of lockstep take longer, its campaigns a twentieth less
	$(GO) test -run '^$$' -bench 'Canonical$$|ShortSeeds' -benchtime 50x -cpuprofile cmd/lockstep/default.pgo -o /dev/null ./sim

.PHONY: fmt
fmt: ## format the code
	gofmt -w .
