// Package script tells stories: a few commands, what happened after each, as one text file that a
// person can read and a test can check.
//
// A story is paragraphs. One that begins with # is prose. Any other is commands, a line each, then a
// line ---- and the output: what the commands answer, and before each answer the events since the last
// one, those of each node in order. Times and the order of two nodes' events are left out: they
// change with every message more or less, and the story does not. Play runs the commands and
// returns the text with the output that came.
//
// Before start:
//
//	seed 3
//	cluster brokers=3 voters=3 combined=true …   as in a schedule
//	topic name=t rf=3 partitions=1 min.isr=2 replicas=1,2,3 …
//	show KIND…            which kinds of events to print, instead of those that most stories want
//	start                 everything up and well; its events are not printed
//
// After it:
//
//	produce t/0 a b c [acks=all] [to=n1] [for=2s]  one batch; prints its offset, or what the producer was told
//	fetch t/0 [to=n1]                              what a consumer gets from the start of the log
//	fault KIND n1 [PEER] [size=N]                  any kind of a schedule; lasts until heal. Lost power takes all
//	                                               that was not synced
//	heal [n1 | KIND n1 [PEER]]                     ends the faults of a host, or that one, or all
//	wait 3s
//	wait leader t/0 n2 | isr t/0 1,2 | controller [n1] | voter n1 ROLE | well   [for=60s]
//	log t/0                                        the log of each node: value@offset:epoch
//	state t/0                                      leader and ISR in the newest metadata
//	quorum                                         each voter's role, and what its disk holds of the election
package script

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/lockstep/lockstep/sim"
)

// blank is what is between paragraphs.
var blank = regexp.MustCompile(`\n\n+`)

// separator is between commands and output.
const separator = "----"

// header comes before what a story says of its cluster. Stories are about what a loss of power may do: no
// budget keeps it from them.
const header = "scenario script\nseed 1\nfor 1s\nsettle 60s\nunbounded true\n"

// story is one script being played.
type story struct {
	text  strings.Builder // the schedule, until start
	stage *sim.Stage      // nil before start
	out   bytes.Buffer    // of the paragraph
	news  news
}

// Play runs a story and returns it with the output that came. An error is about the story itself; what
// goes wrong in the cluster is output.
func Play(text string) (string, error) { return play(text, header) }

func play(text, header string) (string, error) {
	s := &story{news: news{show: telling}}
	s.text.WriteString(header)
	var paragraphs []string
	for i, paragraph := range blank.Split(strings.TrimSpace(text), -1) {
		played, err := s.playParagraph(paragraph)
		if err != nil {
			return "", fmt.Errorf("script: paragraph %d: %w", i+1, err)
		}
		paragraphs = append(paragraphs, played)
	}
	return strings.Join(paragraphs, "\n\n") + "\n", nil
}

func (s *story) playParagraph(paragraph string) (string, error) {
	if strings.HasPrefix(paragraph, "#") {
		return paragraph, nil
	}
	commands, _, _ := strings.Cut(paragraph, "\n"+separator)
	s.out.Reset()
	for _, line := range strings.Split(commands, "\n") {
		if err := s.command(strings.Fields(line)); err != nil {
			return "", fmt.Errorf("%s: %w", line, err)
		}
	}
	s.news.flush(&s.out)
	return strings.TrimRight(commands+"\n"+separator+"\n"+s.out.String(), "\n"), nil
}

func (s *story) command(words []string) error {
	if len(words) == 0 {
		return nil
	}
	verb, args := words[0], words[1:]
	switch {
	case s.stage != nil:
		return s.act(verb, args)
	case verb == "seed" || verb == "cluster" || verb == "topic":
		s.text.WriteString(strings.Join(words, " ") + "\n")
		return nil
	case verb == "show":
		s.news.show = args
		return nil
	case verb == "start":
		return s.start()
	}
	return errors.New("the cluster was not started")
}

func (s *story) start() error {
	schedule, err := sim.ParseSchedule(s.text.String())
	if err != nil {
		return err
	}
	if s.stage, err = sim.NewStage(schedule, &s.news); err != nil {
		return err
	}
	err = s.stage.Start()
	s.news.drop()
	s.tell(err)
	return nil
}

// answer prints a line of a command's answer, after the events before it.
func (s *story) answer(line string) {
	s.news.flush(&s.out)
	s.out.WriteString(line + "\n")
}

// tell prints what went wrong, if anything did.
func (s *story) tell(err error) {
	if err != nil {
		s.answer("error: " + nameOf(err))
	}
}
