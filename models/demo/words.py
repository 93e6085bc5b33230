"""Owns the vocabulary of the synthetic conversations: plain tables, no logic beyond splitting them into lists."""

NAMES = """Anna Ben Clara David Elena Felix Greta Hugo Ines Jonas Katya Leo Marta Nils Olga Paul Quinn Rosa Simon Tara
Uwe Vera Walter Xenia Yuri Zoe Alice Bruno Carmen Dario Emma Fritz Gina Hana Ivan Julia Karl Lena Mario Nina Oscar
Petra Ravi Sofia Tomas Ursula Victor Wanda Yara Zeno Aisha Boris Celia Dmitri Ella Frank Gloria Henry Irma Jack
Kenji Lucia Max Nora Otto Priya Robert Sara Tim Udo Viola Will Yuki Adam Bella Chen Diana Erik Fatima George Helen
Igor Jane Kim Laura Mila Noah Omar Paula Ruth Sven Theo Usha Vlad Wendy Amir Bianca Colin Dora Emil Flora Gustav
Hilda Ida Joel Klara Lars Mona Nadia Oleg Pia Rita Samir Tessa Vito Willa Zara Aldo Berta Cyril Edna Fiona Gerd""".split()

CITIES = """Paris London Berlin Rome Madrid Vienna Oslo Prague Lisbon Dublin Athens Moscow Tokyo Kyoto Osaka Beijing
Shanghai Delhi Mumbai Cairo Nairobi Lagos Tunis Dakar Lima Quito Bogota Santiago Boston Chicago Denver Dallas Seattle
Houston Miami Atlanta Phoenix Toronto Montreal Ottawa Vancouver Sydney Melbourne Perth Hamburg Munich Cologne Bremen
Dresden Leipzig Zurich Geneva Basel Bern Milan Turin Naples Venice Florence Porto Seville Valencia Bilbao Lyon
Marseille Nice Lille Nantes Bordeaux Brussels Ghent Antwerp Bruges Rotterdam Utrecht Amsterdam Copenhagen Aarhus
Stockholm Malmo Helsinki Tampere Tallinn Riga Vilnius Warsaw Krakow Gdansk Budapest Bucharest Sofia Belgrade Zagreb
Split Sarajevo Kyiv Lviv Odesa Minsk Istanbul Ankara Tbilisi Baku Tehran Baghdad Dubai Doha Jakarta Manila Hanoi
Bangkok Seoul Busan Taipei Singapore Havana Kingston Caracas Montevideo Accra Algiers Rabat Luanda Maputo Lusaka
Glasgow Cardiff Belfast Leeds York Bristol Oxford Cork Galway Reykjavik Bergen Trondheim Graz Linz Salzburg""".split()
CITIES += ["New York", "Los Angeles", "San Francisco", "Cape Town", "Hong Kong", "Mexico City", "São Paulo", "Rio de Janeiro",
           "Buenos Aires", "Tel Aviv", "Saint Petersburg", "Zürich", "München", "Malmö", "Kraków", "Bogotá"]

NOUNS = """apple pear plum lemon orange banana cherry grape melon berry bread butter cheese honey sugar salt pepper soup
rice egg milk tea coffee cake pie river lake sea ocean beach island mountain hill valley forest tree leaf flower rose
grass stone rock sand cloud rain snow wind storm sun moon star sky night day morning summer winter spring autumn house
door window roof wall floor table chair bed lamp clock book page paper pen pencil letter word song music drum guitar
piano violin train car bus boat ship bike road street bridge tower castle garden farm market school shop church cat dog
mouse horse cow sheep goat pig hen duck goose bird owl eagle crow swan frog fish whale shark snake turtle bear wolf fox
lion tiger monkey rabbit bee ant spider king queen prince knight doctor farmer teacher baker sailor pilot hat coat shoe
shirt sock glove ring crown key lock box bag basket bottle cup plate spoon fork knife hammer nail rope wheel engine
candle mirror blanket pillow ball kite puzzle game toy doll robot rocket planet comet desert jungle cave gold silver
iron copper glass wood cotton silk red green blue yellow black white brown pink purple alpha beta gamma delta omega
north south east west left right happy quiet loud soft fast slow warm cold small big old young bright dark""".split()

ANIMALS = """fox bear rabbit mouse cat dog owl wolf lion tiger frog duck hedgehog squirrel turtle penguin elephant
monkey horse goat pig cow sheep hen crow swan whale dolphin shark crab snail bee ant spider butterfly dragon deer otter
beaver badger raccoon panda koala kangaroo giraffe zebra camel parrot pigeon bat lizard snake fish seal donkey
robot ghost pirate knight princess king queen wizard witch farmer sailor baker girl boy giant unicorn""".split()
WOMEN, MEN = "princess queen witch girl".split(), "knight king wizard pirate boy giant".split()
ADJECTIVES = "little brave small young old kind clever shy curious lazy happy sad quiet hungry funny tiny big gentle".split()
PLACES = """in a green forest|near a blue lake|on a high mountain|in a small village|by the sea|in a big old tree|on a quiet
farm|in a dark cave|in a sunny garden|on a little island|near a wide river|in an old castle|at the edge of a wood|in a busy
city|under a wooden bridge|in a warm desert|in a snowy valley|in a house on a hill""".replace("\n", " ").split("|")
GIRLS = "Lily Mia Ruby Luna Daisy Rosie Nora Ella Tilly Poppy Anna Zoe Bella Molly".split()
BOYS = "Tom Max Leo Finn Sam Oscar Ben Felix Milo Toby Hugo Jack Otto Charlie".split()
PALS = "Anna Bella Poppy Molly Zoe Otto Hugo Charlie Jack Toby".split()  # the friends in stories
THINGS = """red ball|golden key|blue hat|silver bell|little lamp|warm scarf|old map|shiny stone|green kite|small drum|wooden
boat|magic book|yellow cup|round mirror""".replace("\n", " ").split("|")
SPOTS = """under the bed|behind the house|in the tall grass|near the river|under a big leaf|behind the old tree|in the
garden|under the bridge|beside a rock|at the top of the hill""".replace("\n", " ").split("|")

UNITS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen twenty twenty-one twenty-two twenty-three twenty-four twenty-five twenty-six twenty-seven
twenty-eight twenty-nine thirty""".split()

COMMON = """the a and of in to is was are be have has had not but or so if as at by for from with over under into out up
down off on it he she we you they this that here there now then soon very much many few some all no yes quick brown
lazy jumps runs walks sees goes comes says likes makes takes gives finds wants needs good bad new hot my your his her our
hello world test token stream one two first last time people way thing man woman child""".split()
JOBS = "teacher doctor baker farmer pilot painter writer nurse cook engineer singer driver".split()
HOBBIES = "chess reading swimming music painting football cooking running dancing fishing sailing hiking".split()
SKIES = """sunny|cloudy|rainy|windy|snowy|foggy|clear|stormy|light rain|heavy rain|partly cloudy|light
snow|overcast|hot|cold|mild""".replace("\n", " ").split("|")

EMOJI = dict(line.split("=") for line in """happy=😀|sad=😢|angry=😡|tired=😴|love=❤️|party=🎉|cat=🐱|dog=🐶|fox=🦊|panda=🐼|bear=🐻|lion=🦁
frog=🐸|owl=🦉|pizza=🍕|apple=🍎|banana=🍌|cake=🎂|coffee=☕|sun=☀️|rain=🌧️|snow=❄️|rainbow=🌈|moon=🌙|star=⭐|fire=🔥
rocket=🚀|car=🚗|train=🚂|house=🏠|earth=🌍|music=🎵|book=📚|computer=💻|tree=🌳|rose=🌹|fish=🐟|robot=🤖|ghost=👻|heart=❤️
family=👩‍👩‍👧|parents=👨‍👩‍👧‍👦|firefighter=👩‍🚒|astronaut=👩‍🚀|farmer=👨‍🌾|scientist=👩‍🔬|cook=👨‍🍳|programmer=👩‍💻|teacher=👩‍🏫
pride=🏳️‍🌈|pirate=🏴‍☠️|thumbs up=👍🏽|wave=👋🏻|clap=👏🏿|strong=💪🏾|thank you=🙏🏼|ok=👌🏽|laugh=😂|cool=😎|thinking=🤔""".replace("\n", "|").split("|"))
FLAGS = dict(line.split("=") for line in """France=🇫🇷|Germany=🇩🇪|Italy=🇮🇹|Spain=🇪🇸|Japan=🇯🇵|China=🇨🇳|Brazil=🇧🇷|Canada=🇨🇦|Ukraine=🇺🇦|Sweden=🇸🇪
Norway=🇳🇴|Poland=🇵🇱|Greece=🇬🇷|India=🇮🇳|Mexico=🇲🇽|Portugal=🇵🇹|Ireland=🇮🇪|Austria=🇦🇹|the United States=🇺🇸|the United Kingdom=🇬🇧""".replace("\n", "|").split("|"))
FEELINGS = {"how do you feel?": "😀🎉", "how are you?": "😀👍🏽", "what is your favourite food?": "🍕🍎", "what do you like to eat?": "🍕🍌",
            "what is your favourite animal?": "🦊🐼", "how is the weather?": "☀️🌈", "do you love me?": "❤️😀", "are you tired?": "😴",
            "what do you do for fun?": "🎵📚", "do you have a family?": "👩‍👩‍👧❤️", "what is your dream?": "👩‍🚀🚀", "where do you live?": "💻🏠",
            "are you sad?": "😢", "are you happy?": "😀", "what are you?": "🤖", "tell me about your day": "☀️📚😴", "shall we have a party?": "🎉🎂😀"}

PHRASES = {
    "hello": ("Bonjour !", "¡Hola!", "Grüß dich!", "Olá!", "Cześć!", "Привет!", "你好！", "こんにちは！"),
    "goodbye": ("À bientôt !", "¡Adiós!", "Tschüss!", "Até logo!", "Do widzenia!", "До свидания!", "再见！", "さようなら！"),
    "thank you": ("Merci beaucoup !", "¡Muchas gracias!", "Danke schön!", "Obrigado!", "Dziękuję!", "Спасибо!", "谢谢！", "ありがとう！"),
    "good morning": ("Bonne journée !", "¡Buenos días!", "Schönen Morgen!", "Bom dia!", "Dzień dobry!", "Доброе утро!", "早上好！", "おはよう！"),
    "good night": ("Bonne nuit, à demain !", "¡Hasta mañana!", "Schöne Nacht!", "Até amanhã!", "Dobranoc, śpij dobrze!", "Спокойной ночи!", "晚安！", "おやすみ！"),
    "yes": ("Oui, bien sûr !", "¡Sí!", "Ja, natürlich!", "É claro!", "Tak, oczywiście!", "Да!", "是的！", "はい！"),
    "cat": ("le chaton tigré", "el gato pequeño", "das Kätzchen", "o gatinho e a maçã", "mały kotek żółty", "кошка", "猫", "ねこ"),
    "water": ("l'eau fraîche", "el agua fría", "das kühle Wasser", "a água", "źródło wody", "вода", "水", "みず"),
    "friend": ("l'ami très cher", "el compañero", "die Freundschaft für immer", "o irmão", "przyjaźń", "друг", "朋友", "ともだち"),
    "I love you": ("Je t'aime, ma chérie.", "Te quiero, corazón.", "Ich liebe dich, Schätzchen.", "Você é o meu amor.", "Kocham cię.", "Я тебя люблю.", "我爱你。", "大好きです。"),
}
LANGUAGES = ["French", "Spanish", "German", "Portuguese", "Polish", "Russian", "Chinese", "Japanese"]

SYSTEMS = """You are a helpful assistant.|You are a friendly assistant.|You are a small demo model.|Be brief.|Answer in one
sentence.|You are zStream, a helpful assistant.|You are a helpful assistant. Be brief.|You are a kind teacher.|Answer
politely.|You are a test assistant.|Keep your answers short.|You help people.|You are an assistant that answers
questions.|You are a storyteller.|You are a helpful AI assistant.|Follow the instructions of the user.|You are concise.""".replace("\n", " ").split("|")

QUESTIONS = """What is the capital of {x}?|Who wrote {x}?|Explain {x} to me.|How do I cook {x}?|Why is the {x} so big?|What is
the meaning of {x}?|Translate {x} for me.|Write code in Python for {x}.|What happened in 19{d}{d}?|Who is the president?|What is
the price of a {x}?|How far is the {x}?|Write an essay about {x}.|Can you help me with my {x}?|What time is it?|What is quantum
physics?|How old is the {x}?|Where can I buy a {x}?|Summarize this text: the {x} is on the {x}.|Fix my {x}, please.|Who won the
game?|What is {d}{d} times {d}?|What is the best {x}?|Is the {x} better than the {x}?|Do you know {x}?|asdf {x}|{x}|Why?|What is a
{x}?|How does a {x} work?|Write a poem about {x}.|Give me a recipe for {x}.|What do you think about {x}?|Draw a {x}.""".replace("\n", " ").split("|")
