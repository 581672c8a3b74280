package sysemu_test

import (
	"fmt"
	"log"

	"github.com/sysemu/sysemu"
)

// What a program changes stays in the machine, which can say what it was.
func ExampleChange() {
	m, err := sysemu.New(sysemu.WithUser(0, 0))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	if err := m.Command("sh", "-c", "mkdir /new && echo text > /new/file && echo more >> /etc/passwd && rm /etc/group").Run(); err != nil {
		log.Fatal(err)
	}
	list, err := m.Changes()
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range list {
		fmt.Println(c.Kind, c.Path)
	}
	// Output:
	// deleted /etc/group
	// modified /etc/passwd
	// added /new
	// added /new/file
}
