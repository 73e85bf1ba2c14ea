// Package web has the pages that people read in a browser: all checks, one check, one run, and a status for the public. The
// server renders them from package view. They work without scripts; one small script keeps them up to date.
//
// The package changes nothing and stores nothing. Names, errors and logs are what others wrote: templates escape them, and a
// strict Content-Security-Policy lets no script of theirs run.
package web
