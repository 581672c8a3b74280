package fsys_test

import (
	"fmt"
	"io/fs"
	"log"
	"strings"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/fsys"
)

// A program writes to memory, which the program around it reads.
func ExampleMem() {
	mem := fsys.NewMem()
	if err := fsys.WriteFile(mem, "in", []byte("hello\n"), 0o644); err != nil {
		log.Fatal(err)
	}
	m, err := sysemu.New(sysemu.WithFS(mem, "/mem"))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	if err := m.Command("sh", "-c", "tr a-z A-Z < /mem/in > /mem/out").Run(); err != nil {
		log.Fatal(err)
	}
	out, err := fs.ReadFile(mem, "out")
	fmt.Printf("%s%v\n", out, err)
	// Output:
	// HELLO
	// <nil>
}

// upper is an FS whose files' contents are shown in capitals. All else is done
// by what it embeds.
type upper struct{ *fsys.Mem }

type upperFile struct{ fsys.File }

func (u upper) OpenFile(name string, flag int, perm fs.FileMode) (fsys.File, error) {
	f, err := u.Mem.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return upperFile{f}, nil
}

func (f upperFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	copy(p[:n], strings.ToUpper(string(p[:n])))
	return n, err
}

// A file system that is one's own begins with OpenFile.
func ExampleFS() {
	m, err := sysemu.New(sysemu.WithFS(upper{fsys.NewMem()}, "/loud"))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	out, err := m.Command("sh", "-c", "cd /loud && mkdir d && echo hello > d/f && cat d/f").CombinedOutput()
	fmt.Printf("%s%v\n", out, err)
	// Output:
	// HELLO
	// <nil>
}
