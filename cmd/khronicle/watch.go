package main

import "github.com/spf13/cobra"

func watchCommand() *cobra.Command { return &cobra.Command{Use: "watch"} }
