package tarfs_test

import (
	"fmt"
	"log"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/fsys/tarfs"
)

// A program reads an archive that nobody unpacked.
func ExampleFS() {
	var data *tarfs.FS
	data, err := open(archive(entry{file, "docs/hello", "hello from an archive\n"}))
	if err != nil {
		log.Fatal(err)
	}
	defer data.Close()
	m, err := sysemu.New(sysemu.WithFS(data, "/data"))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	out, err := m.Command("sh", "-c", "cd /data/docs && cat hello && ls").CombinedOutput()
	fmt.Printf("%s%v\n", out, err)
	// Output:
	// hello from an archive
	// hello
	// <nil>
}
