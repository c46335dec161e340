#pragma once

namespace luna {

/// Lambdas as one visitor: std::visit(Overloaded{[](A) {...}, [](B) {...}}, variant).
template <class... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
Overloaded(Fs...) -> Overloaded<Fs...>;

}  // namespace luna
