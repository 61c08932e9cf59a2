.DEFAULT_GOAL := help
.PHONY: help install run up test check lock
PYTHON ?= python3
BIN := .venv/bin
UV_VERSION := 0.9.11

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
