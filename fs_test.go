package sysemu_test

import (
	"testing"
	"testing/fstest"

	"github.com/sysemu/sysemu"
)

func TestMountGoFileSystem(t *testing.T) {
	fsys := fstest.MapFS{"hello.sh": {Data: []byte("#!/bin/sh\necho from $0\n"), Mode: 0o755}}
	m, err := sysemu.New(sysemu.WithCPUs(1), sysemu.WithFS(fsys, "/go/fs"), sysemu.WithTmpfs("/go"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	out, err := m.Command("/go/fs/hello.sh").CombinedOutput()
	if err != nil || string(out) != "from /go/fs/hello.sh\n" {
		t.Errorf("%q, %v", out, err)
	}
	if out, err := m.Command("sh", "-c", "echo x > /go/fs/hello.sh").CombinedOutput(); err == nil {
		t.Errorf("written: %s", out)
	}
}
