// Package loader reads what execve(2) is given: ELF programs, their
// interpreters, "#!" scripts; and lays out a new program's stack. It is pure:
// bytes in, plans out. Nothing in a file is trusted.
//
// The errors of Parse, ParseInterpreter and ParseScript are what execve
// returns. Linux maps a program only after it has given up the old one, so
// the errors of Place come too late for that: there the process is killed by
// SIGSEGV, as on Linux.
//
// A caller goes: ReadHead; while ParseScript says it is a script, open its
// interpreter (more than MaxInterpreters times is ELOOP); Parse; when there is
// an Interp, open it and ParseInterpreter; choose a base for each image of
// type ET_DYN by Span and Place both; apply the mappings; Stack.Build.
package loader
