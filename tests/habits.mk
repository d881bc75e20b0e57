# Goals for whoever changes something; included by the top Makefile. See
# CONTRIBUTING.md.

# One unit test, named with or without its test_: make test T=cfg
TEST := $(filter %/test_$(patsubst test_%,%,$(T)),$(UNIT))

.PHONY: quick test lint lint-c lint-shell lint-python coverage
test: $(TEST)
	@[ -n '$(TEST)' ] || { echo 'T= one of' \
	    '$(patsubst test_%,%,$(notdir $(UNIT)))' >&2; exit 2; }
	$(TEST)

quick: setup
	@tests/check.sh quick

coverage: setup
	@tests/coverage

lint: lint-shell lint-python lint-c

# A file is looked at anew when it, a header or the list of checks changes.
TIDY := $(OBJECTS:.o=.tidy)

lint-c: $(TIDY)

$(TIDY): %.tidy: %.o .clang-tidy | compile_commands.json
	$(call run,TIDY,clang-tidy --quiet -p . \
	    $(patsubst $(O)/%,%,$(*:.pic=)).c 2> $@.log || { cat $@.log; false; })
	@touch $@

scripts = git grep -lE '$(1)' -- . ':!*.md'

lint-shell:
	$(call scripts,^\#! ?/bin/(busybox |ba|da)?sh|^\# shellcheck shell=) | \
	    xargs shellcheck -x

lint-python:
	{ git ls-files '*.py'; $(call scripts,^\#!.*python3); } | sort -u | \
	    xargs pylint --score=n

# What editors and clang's tools want to know; made of what make would run.
compile_commands.json: FORCE
	@$(MAKE) --no-print-directory -nB V=1 O=$(O) objects unit-build | sed -n \
	    -e '/ -c -o /!d' -e 's/["\]/\\&/g' \
	    -e 's|.* \([^ ]*\.c\)$$|{ "file": "\1", "directory": "$(CURDIR)", "command": "&" },|p' | \
	    sed '1s/^/[/; $$s/,$$/]/' > $@.new
	@[ -s $@.new ]
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
