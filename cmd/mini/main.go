package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/sysemu/sysemu"
)

func main() {
	var opts []sysemu.Option
	if n, err := strconv.Atoi(os.Getenv("CPUS")); err == nil {
		opts = append(opts, sysemu.WithCPUs(n))
	}
	m, err := sysemu.New(opts...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(125)
	}
	c := m.Command(os.Args[1], os.Args[2:]...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.Dir, _ = os.Getwd()
	err = c.Run()
	if os.Getenv("UNSUP") != "" {
		fmt.Fprintln(os.Stderr, m.Unsupported())
	}
	m.Close()
	var ee *sysemu.ExitError
	switch {
	case err == nil:
	case errors.As(err, &ee):
		if ee.Exited() {
			os.Exit(ee.ExitCode())
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(128 + int(ee.Sys().Signal()))
	default:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(127)
	}
}
