// Chooses the instruction set at run time.
#pragma once

#include <string>
#include <vector>

#include "kernels/kernels.hpp"

namespace fastinv {

// The instruction sets that were compiled in and that this CPU has; the best one comes last.
std::vector<std::string> available_isas();

// FASTINV_ISA if it is set, else the best instruction set. Throws std::invalid_argument for a name
// that is unknown or that this CPU does not have.
std::string default_isa();

// The kernels of `isa`, or of default_isa() if it is empty. Throws as default_isa does.
template <class T>
const Kernels<T>& kernels(const std::string& isa);

}  // namespace fastinv
