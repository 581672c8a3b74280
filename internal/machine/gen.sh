#!/bin/sh
# Assembles stub.S into stub_amd64.go.
set -e
t=$(mktemp -d)
gcc -c stub.S -o "$t/o" && objcopy -O binary -j .text "$t/o" "$t/b"
{
	printf '// Code generated from stub.S by gen.sh; DO NOT EDIT.\n\npackage machine\n\n// stubCode is stub.S, assembled.\nvar stubCode = []byte{\n'
	od -An -v -tx1 "$t/b" | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1, /g; s/^/\t/; s/ $//'
	printf '}\n'
} > stub_amd64.go
rm -r "$t"
