#include <exception>
#include <iostream>

#include <unistd.h>

#include "client/cli/app.h"
#include "client/cli/interrupt.h"

int main(int argc, char** argv) {
  try {
    luna::client::Interrupt interrupt;
    luna::client::Console console;
    console.out = &std::cout;
    console.err = &std::cerr;
    console.err_is_terminal = ::isatty(STDERR_FILENO) != 0;
    console.out_is_terminal = ::isatty(STDOUT_FILENO) != 0;
    console.terminal = ::isatty(STDIN_FILENO) != 0 ? STDIN_FILENO : -1;
    console.connect = luna::client::Client::connect;
    console.stop = interrupt.token();
    console.on_cancellable = [&interrupt] { interrupt.make_cancellable(); };
    console.on_stoppable = [&interrupt] { interrupt.make_stoppable(); };
    return luna::client::run_luna({argv + 1, argv + argc}, console);
  } catch (const std::exception& failure) {
    std::cerr << "luna: " << failure.what() << '\n';
    return luna::client::kExitFailed;
  }
}
