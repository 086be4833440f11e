# For the hand that types make; everything lives in ./up, ./test and Meson.
all:
	@. tools/setup.sh && build build
check:
	./test
asan tsan:
	./test --$@
fmt:
	git ls-files '*.c' '*.h' | xargs clang-format -i
shape:
	tools/shape
.PHONY: all check asan tsan fmt shape
SHELL = bash
