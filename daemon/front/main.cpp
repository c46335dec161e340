#include "daemon/front/run_front.h"

int main(int argc, char** argv) { return luna::front::run_front(argc, argv); }
