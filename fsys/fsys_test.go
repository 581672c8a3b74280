package fsys_test

import (
	"io/fs"
	"testing"
	gofstest "testing/fstest"

	"github.com/sysemu/sysemu/fsys"
	"github.com/sysemu/sysemu/fsys/fstest"
)

func TestMem(t *testing.T) {
	fstest.TestFS(t, func(*testing.T) fsys.FS { return fsys.NewMem() })
}

func TestDir(t *testing.T) {
	fstest.TestFS(t, func(t *testing.T) fsys.FS {
		d, err := fsys.OpenDir(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		return d
	})
}

// least has nothing but what an FS must have.
type least struct{ m *fsys.Mem }

func (l least) Open(name string) (fs.File, error) { return l.m.Open(name) }
func (l least) OpenFile(name string, flag int, perm fs.FileMode) (fsys.File, error) {
	return l.m.OpenFile(name, flag, perm)
}

func TestLeast(t *testing.T) {
	fstest.TestFS(t, func(*testing.T) fsys.FS { return least{fsys.NewMem()} })
}

// Mem is an fs.FS as package testing/fstest has it.
func TestMemAsFS(t *testing.T) {
	m := fsys.NewMem()
	for _, err := range []error{
		fsys.MkdirAll(m, "a/b", 0o755), fsys.WriteFile(m, "a/b/f", []byte("text"), 0o644),
		m.Symlink("b", "a/l"), m.Symlink("/a/b/f", "abs"), fsys.WriteFile(m, "a/empty", nil, 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := gofstest.TestFS(m, "a/b/f", "a/l", "a/empty", "abs"); err != nil {
		t.Error(err)
	}
	if b, err := fs.ReadFile(m, "a/l/f"); string(b) != "text" {
		t.Errorf("through a link: %q, %v", b, err)
	}
}
