// C++ for i386: exceptions through many frames, in many threads, and thread-local objects.
#include <iostream>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

struct Leaves {
	~Leaves() { std::cout << "left\n"; }
};

static int deep(int n)
{
	Leaves l;
	if (n == 0)
		throw std::runtime_error("deep");
	return deep(n - 1) + 1;
}

static thread_local std::string local = "here";

int main()
{
	try {
		deep(3);
	} catch (const std::exception &e) {
		std::cout << e.what() << "\n";
	}
	std::mutex m;
	int sum = 0;
	std::vector<std::thread> threads;
	for (int i = 0; i < 8; i++)
		threads.emplace_back([&, i] {
			local += std::to_string(i);
			for (int k = 0; k < 200; k++)
				try {
					throw i;
				} catch (int n) {
					std::lock_guard<std::mutex> lock(m);
					sum += n + local.size();
				}
		});
	for (auto &t : threads)
		t.join();
	std::cout << sum << " " << local << "\n";
	throw 1; // nobody catches it
}
