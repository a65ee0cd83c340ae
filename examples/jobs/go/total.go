// Adds numbers: a job in Go. Needs nothing but the standard library.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

type order struct {
	Numbers     []int64 `json:"numbers"`
	SecondsEach float64 `json:"secondsEach"`
}

type result struct {
	Total int64 `json:"total"`
	Added int   `json:"added"`
}

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)

	var order order
	if err := json.NewDecoder(os.Stdin).Decode(&order); err != nil || order.Numbers == nil {
		fmt.Fprintln(os.Stderr, "the input needs a list of whole numbers in `numbers`:", err)
		os.Exit(2)
	}

	var done result
	for _, number := range order.Numbers {
		if len(stop) > 0 {
			break
		}
		time.Sleep(time.Duration(order.SecondsEach * float64(time.Second)))
		done.Total += number
		done.Added++
		fmt.Printf("added %d of %d\n", done.Added, len(order.Numbers))
	}

	text, err := json.Marshal(done)
	if err == nil {
		err = os.WriteFile(os.Getenv("EXECUTION_RESULT_FILE"), text, 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot write the result:", err)
		os.Exit(1)
	}
	if done.Added < len(order.Numbers) {
		os.Exit(75)
	}
}
